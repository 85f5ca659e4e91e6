#!/bin/bash
[[ -n "${DEBUG:-}" ]] && set -x
[ "$TRACE" ] && set -o xtrace
exec "$@"
