#!/bin/sh
if [ -x /usr/bin/my_init ]; then
  exec /usr/bin/my_init -- "$@"
fi
exec "$@"
