#!/bin/sh
while true; do
  python job.py
  sleep 60
done
