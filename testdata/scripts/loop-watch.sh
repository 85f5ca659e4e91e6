#!/bin/bash
nginx -g 'daemon off;' &
while sleep 60; do
  ps aux | grep nginx | grep -q -v grep
  if [ $? -ne 0 ]; then
    echo "nginx has gone"
    exit 1
  fi
done
