#!/bin/sh
run-parts --exit-on-error /docker-entrypoint.d
exec "$@"
