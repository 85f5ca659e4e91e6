#!/bin/sh
case "$MODE" in
  web) exec nginx ;;
  api) exec nginx -c /api.conf ;;
  *) echo "unknown mode $MODE" >&2; exit 1 ;;
esac
