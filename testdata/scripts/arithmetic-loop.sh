#!/bin/bash
for ((i=0; i<30; i++)); do
  curl -sf http://config/ && break
  sleep 1
done
exec "$@"
