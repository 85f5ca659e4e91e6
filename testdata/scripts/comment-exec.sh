#!/bin/sh
# exec nginx
echo "exec nginx"
nginx -g 'daemon off;' # exec
