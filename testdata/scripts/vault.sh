#!/usr/bin/dumb-init /bin/sh
set -e
ulimit -c 0
if [ "${1:0:1}" = '-' ]; then
    set -- vault "$@"
fi
if [ "$1" = 'server' ]; then
    shift
    set -- vault server -config=/vault/config "$@"
fi
if [ "$1" = 'vault' ]; then
    if [ "$(id -u)" = '0' ]; then
      set -- su-exec vault "$@"
    fi
fi
exec "$@"
