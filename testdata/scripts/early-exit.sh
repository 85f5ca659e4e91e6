#!/bin/sh
if ! nginx -t; then
  exit 1
fi
exec nginx -g 'daemon off;'
