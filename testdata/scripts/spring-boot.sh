#!/bin/sh
exec sh -c 'exec java $JAVA_OPTS -jar /app.jar "$@"' -- "$@"
