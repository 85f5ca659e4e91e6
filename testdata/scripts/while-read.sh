#!/bin/bash
while IFS='=' read -r name value; do
  export "$name=$value"
done < <(cat /etc/defaults.env)
exec "$@"
