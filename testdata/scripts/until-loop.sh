#!/bin/sh
n=0
until nc -z db 5432; do
  n=$((n+1))
  [ $n -gt 30 ] && exit 1
  sleep 1
done
exec "$@"
