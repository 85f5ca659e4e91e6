#!/bin/sh
nohup python exporter.py > /dev/null 2>&1 &
exec redis-server
