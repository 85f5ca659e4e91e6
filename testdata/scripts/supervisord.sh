#!/bin/bash
set -e
mkdir -p /var/log/supervisor
if [ -n "$TZ" ]; then
  ln -snf "/usr/share/zoneinfo/$TZ" /etc/localtime
fi
exec /usr/bin/supervisord -n -c /etc/supervisor/supervisord.conf
