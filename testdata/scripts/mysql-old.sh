#!/bin/bash
set -e
if [ "$1" = 'mysqld' ]; then
	"$@" --skip-networking --socket=/run/s &
	pid="$!"
	for i in {30..0}; do
		if echo 'SELECT 1' | mysql &> /dev/null; then
			break
		fi
		sleep 1
	done
	if ! kill -s TERM "$pid" || ! wait "$pid"; then
		echo >&2 'MySQL init process failed.'
		exit 1
	fi
fi
exec "$@"
