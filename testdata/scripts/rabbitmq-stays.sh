#!/bin/sh
set -e
stop_rabbitmq_server() {
    rabbitmqctl shutdown --wait
}
start_server "$@" &
trap "stop_rabbitmq_server; exit 130" TERM
wait $! || true
