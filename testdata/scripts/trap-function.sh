#!/bin/bash
stop() {
  echo stopping
  kill -s SIGTERM "$child" 2>/dev/null
}
java -jar app.jar &
child=$!
trap stop SIGTERM
wait "$child"
