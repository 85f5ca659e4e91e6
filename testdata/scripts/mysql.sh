#!/bin/bash
set -eo pipefail
shopt -s nullglob
mysql_error() { printf '%s\n' "$*" >&2; exit 1; }
docker_temp_server_start() {
	if ! "$@" --daemonize --skip-networking --default-time-zone=SYSTEM; then
		mysql_error "Unable to start server."
	fi
}
_main() {
	if [ "${1:0:1}" = '-' ]; then
		set -- mysqld "$@"
	fi
	if [ "$1" = 'mysqld' ]; then
		if [ "$(id -u)" = "0" ]; then
			exec gosu mysql "$BASH_SOURCE" "$@"
		fi
		if [ ! -d "$DATADIR/mysql" ]; then
			docker_temp_server_start "$@"
			mysqladmin --defaults-extra-file=/x shutdown -uroot
		fi
	fi
	exec "$@"
}
_main "$@"
