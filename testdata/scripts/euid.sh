#!/bin/bash
if ((EUID == 0)); then
  exec gosu redis "$0" "$@"
fi
exec "$@"
