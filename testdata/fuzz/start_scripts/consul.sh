#!/usr/bin/dumb-init /bin/sh
set -e
CONSUL_BIND=
if [ -n "$CONSUL_BIND_INTERFACE" ]; then
  CONSUL_BIND_ADDRESS=$(ip -o -4 addr list $CONSUL_BIND_INTERFACE | head -n1 | awk '{print $4}' | cut -d/ -f1)
  CONSUL_BIND="-bind=$CONSUL_BIND_ADDRESS"
fi
if [ "$1" = 'agent' ]; then
    shift
    set -- consul agent -data-dir=/consul/data $CONSUL_BIND "$@"
fi
if [ "$1" = 'consul' -a -z "${CONSUL_DISABLE_PERM_MGMT+x}" ]; then
    set -- su-exec consul:consul "$@"
fi
exec "$@"
