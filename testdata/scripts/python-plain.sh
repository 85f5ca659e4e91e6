#!/bin/sh
set -e
until pg_isready -h db; do
  echo waiting
  sleep 1
done
exec "$@"
