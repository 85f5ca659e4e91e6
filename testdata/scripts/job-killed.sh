#!/bin/sh
redis-server --port 7000 &
PID=$!
redis-cli -p 7000 set a b
kill $PID
exec redis-server
