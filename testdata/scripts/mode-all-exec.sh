#!/bin/sh
case "$MODE" in
  web) exec gunicorn app ;;
  cache) exec redis-server ;;
  *) exec nginx ;;
esac
