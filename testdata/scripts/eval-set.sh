#!/bin/sh
set -- -classpath "$CLASSPATH" Main "$@"
eval "set -- $(printf '%s\n' "$DEFAULT_JVM_OPTS" | xargs -n1 | sed ' s~x~y~g; ' | tr '\n' ' ')" '"$@"'
exec java "$@"
