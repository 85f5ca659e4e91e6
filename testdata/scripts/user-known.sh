#!/bin/sh
if [ "$(id -u)" = "0" ]; then
  tini -- "$@"
  exit
fi
exec "$@"
