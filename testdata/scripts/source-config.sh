#!/bin/sh
. /etc/app/config
exec $DAEMON $DAEMON_OPTS
#%% /etc/app/config
DAEMON=/usr/bin/nginx
DAEMON_OPTS="-c /etc/nginx.conf"
