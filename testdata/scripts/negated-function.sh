#!/bin/bash
wants_help() {
  for arg; do
    case "$arg" in -h|--help) return 0 ;; esac
  done
  return 1
}
if ! wants_help "$@"; then
  exec "$@"
fi
node help.js
