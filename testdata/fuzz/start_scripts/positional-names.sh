#!/bin/sh
MODE=$1
PORT=${2:-80}
if [ "x$MODE" = "xweb" ]; then
  exec java -Dport=$PORT -jar web.jar
fi
java -jar other.jar
