#!/bin/bash
set -Eeuo pipefail
if [ "${1:0:1}" = '-' ]; then
	set -- mongod "$@"
fi
originalArgOne="$1"
if [[ "$originalArgOne" == mongo* ]] && [ "$(id -u)" = '0' ]; then
	if [ "$originalArgOne" = 'mongod' ]; then
		find /data/configdb /data/db \! -user mongodb -exec chown mongodb '{}' +
	fi
	chown --dereference mongodb "/proc/$$/fd/1" "/proc/$$/fd/2" || :
	exec gosu mongodb "$BASH_SOURCE" "$@"
fi
if [[ "$originalArgOne" == mongo* ]]; then
	numa='numactl --interleave=all'
	if $numa true &> /dev/null; then
		set -- $numa "$@"
	fi
fi
if [ "$originalArgOne" = 'mongod' ]; then
	mongodHackedArgs=( "$@" )
	mongodHackedArgs+=( --bind_ip 127.0.0.1 )
	"${mongodHackedArgs[@]}" --fork
	"${mongodHackedArgs[@]}" --shutdown
	set -- "$@" --bind_ip_all
fi
rm -f "$jsonConfigFile" "$tempConfigFile"
exec "$@"
