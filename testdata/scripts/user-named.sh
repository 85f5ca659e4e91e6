#!/bin/bash
if [ $(id -u) -eq 0 ]; then
  node root.js
else
  exec "$@"
fi
