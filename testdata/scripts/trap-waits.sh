#!/bin/sh
stop() {
  kill -TERM "$pid"
  wait "$pid"
  exit 0
}
trap stop TERM
redis-server &
pid=$!
wait "$pid"
