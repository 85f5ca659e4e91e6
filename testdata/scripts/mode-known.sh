#!/bin/sh
case "$MODE" in
  web) exec gunicorn app ;;
  *) python worker.py ;;
esac
