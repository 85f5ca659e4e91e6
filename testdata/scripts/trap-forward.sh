#!/bin/bash
java -jar app.jar &
pid=$!
trap 'kill -TERM $pid' TERM INT
wait $pid
trap - TERM INT
wait $pid
exit $?
