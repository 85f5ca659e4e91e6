#!/bin/sh
set -ea
if [ "$1" = "strapi" ]; then
  if [ ! -f "package.json" ]; then
    DATABASE_CLIENT=${DATABASE_CLIENT:-sqlite}
    npx create-strapi-app@latest .
  fi
fi
echo "Starting your app..."
exec "$@"
#%% /usr/local/bin/strapi
#!/usr/bin/env node
require("x")
