#!/bin/sh
set -e
PG_CONFIG_DIR=/etc/pgbouncer
if [ -n "$DATABASE_URL" ]; then
  proto="$(echo $DATABASE_URL | grep :// | sed -e's,^\(.*://\).*,\1,g')"
  url="$(echo $DATABASE_URL | sed -e s,$proto,,g)"
  DB_USER=$(echo $url | cut -d: -f1)
fi
if [ ! -e "${PG_CONFIG_DIR}/pgbouncer.ini" ]; then
  printf "\
[databases]
${DB_NAME:-*} = host=${DB_HOST:?"Setup pgbouncer config error! You must set DB_HOST env"} \
port=${DB_PORT:-5432}
${AUTH_FILE:+auth_file = ${AUTH_FILE}\n}\
" > ${PG_CONFIG_DIR}/pgbouncer.ini
fi
exec "$@"
#%% /usr/bin/pgbouncer
ELF
