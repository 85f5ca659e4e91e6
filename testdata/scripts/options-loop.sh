#!/bin/bash
ARGS=()
while [ $# -gt 0 ]; do
  case "$1" in
    --port) ARGS+=("-Dport=$2"); shift 2 ;;
    --port=*) ARGS+=("-Dport=${1#*=}"); shift ;;
    *) ARGS+=("$1"); shift ;;
  esac
done
exec java "${ARGS[@]}" -jar a.jar
