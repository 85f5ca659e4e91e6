#!/bin/bash
set -e
printenv | grep -v no_proxy >> /etc/environment
crontab /etc/cron.d/app
exec cron -f
