#!/bin/sh
exec "$JAVA_HOME/bin/java" -jar /app.jar
