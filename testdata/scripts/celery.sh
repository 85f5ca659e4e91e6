#!/bin/sh
set -o errexit
exec "$@"
