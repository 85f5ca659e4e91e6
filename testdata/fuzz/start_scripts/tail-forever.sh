#!/bin/bash
service ssh start
service nginx start
exec tail -f /dev/null
