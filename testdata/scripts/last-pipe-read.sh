#!/bin/bash
env | while IFS= read -r line; do
  name=${line%%=*}
  echo "$name" &
done
exec "$@"
