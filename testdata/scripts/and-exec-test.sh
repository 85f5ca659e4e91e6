#!/bin/sh
[ "$1" = redis-server ] && exec redis-server /etc/r.conf
exec "$@"
