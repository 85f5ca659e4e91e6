#!/bin/sh
if [ -n "$USE_TINI" ]; then
  set -- tini -- "$@"
fi
exec "$@"
