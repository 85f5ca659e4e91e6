#!/bin/sh
cron -f &
nginx -g 'daemon off;'
