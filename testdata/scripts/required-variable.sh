#!/bin/bash
set -euo pipefail
: "${DATABASE_URL:?must be set}"
if [[ -z "$SECRET" ]]; then
  echo "SECRET is missing" >&2
  exit 2
fi
exec java -jar app.jar
