#!/bin/bash
set -eo pipefail
_main() {
	if [ "$1" = 'mariadbd' ]; then
		if [ "$(id -u)" = "0" ]; then
			exec gosu mysql "${BASH_SOURCE[0]}" "$@"
		fi
		if [ -z "$EXISTS" ]; then
			"$@" --skip-networking --socket="${SOCKET}" --wsrep_on=OFF &
			declare -g MARIADB_PID
			MARIADB_PID=$!
			for i in {30..0}; do
				if mariadb -e 'SELECT 1' &> /dev/null; then
					break
				fi
				sleep 1
			done
			kill "$MARIADB_PID"
			wait "$MARIADB_PID"
		fi
	fi
	exec "$@"
}
_main "$@"
