#!/bin/bash
case "$1" in
  serve) shift; exec gunicorn app "$@" ;;
  worker) celery -A app worker ;;
  migrate) python manage.py migrate ;;
  *) exec "$@" ;;
esac
