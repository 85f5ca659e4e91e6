#!/bin/bash
set -e
init_influxdb() {
	INFLUXDB_INIT_PORT="8086"
	influxd "$@" &
	pid="$!"
	for i in {30..0}; do
		if influx -execute "x" &> /dev/null; then
			break
		fi
		sleep 1
	done
	if ! kill -s TERM "$pid" || ! wait "$pid"; then
		echo >&2 'influxdb init process failed.'
		exit 1
	fi
}
if [ "${1:0:1}" = '-' ]; then
    set -- influxd "$@"
fi
if [ "$1" = 'influxd' ]; then
	init_influxdb "${@:2}"
fi
exec "$@"
