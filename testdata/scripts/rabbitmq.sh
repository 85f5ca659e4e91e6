#!/bin/bash
set -euo pipefail
if [[ "$1" == rabbitmq* ]] && [ "$(id -u)" = '0' ]; then
	if [ "$1" = 'rabbitmq-server' ]; then
		find /var/lib/rabbitmq \! -user rabbitmq -exec chown rabbitmq '{}' +
	fi
	exec gosu rabbitmq "$BASH_SOURCE" "$@"
fi
exec "$@"
#%% /usr/local/bin/rabbitmq-server
#!/bin/sh
set -e
RABBITMQ_HOME=/opt/rabbitmq
start_rabbitmq_server() {
    exec erl -boot "${RABBITMQ_BOOT_MODULE}" -noinput "$@"
}
if [ 'x' = "x$RABBITMQ_ALLOW_INPUT" ]; then
    start_rabbitmq_server "$@" < /dev/null
else
    start_rabbitmq_server "$@"
fi
