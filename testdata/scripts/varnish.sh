#!/bin/sh
set -e
# this will check if the first argument is a flag
if [ "$#" -eq 0 ] || [ "${1#-}" != "$1" ]; then
    set -- varnishd \
	    -F \
	    -f /etc/varnish/default.vcl \
	    -s malloc,${VARNISH_SIZE} \
	    "$@"
fi
exec "$@"
