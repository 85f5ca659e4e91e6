#!/bin/sh
if [ -n "$DAEMON" ]; then
  exec nginx
else
  python dev.py
fi
