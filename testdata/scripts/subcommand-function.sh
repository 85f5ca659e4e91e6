#!/usr/bin/env bash
set -e
web() { exec gunicorn app; }
worker() { celery worker; }
help() { echo usage; }
case "$1" in
  web|worker) "$1" ;;
  *) help; exit 1 ;;
esac
