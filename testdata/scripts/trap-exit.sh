#!/bin/sh
trap 'exit 0' TERM
node a.js &
wait
