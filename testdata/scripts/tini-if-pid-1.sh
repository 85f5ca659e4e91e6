#!/bin/sh
if [ $$ -eq 1 ]; then
  exec tini -- "$0" "$@"
fi
exec "$@"
