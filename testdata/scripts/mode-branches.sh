#!/bin/sh
if [ "$MODE" = worker ]; then
  exec celery -A app worker
fi
python manage.py runserver
