#!/bin/bash
service ssh start
tail -F /var/log/nginx/access.log
