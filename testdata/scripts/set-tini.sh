#!/bin/sh
set -e
set -- tini -- "$@"
exec "$@"
