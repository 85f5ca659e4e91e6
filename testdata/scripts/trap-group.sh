#!/bin/sh
trap 'kill 0' TERM INT

node a.js &
node b.js &
wait
