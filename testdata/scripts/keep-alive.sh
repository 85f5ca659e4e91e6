#!/bin/bash
trap 'exit 0' SIGTERM SIGINT
while :; do sleep 3600 & wait $!; done
