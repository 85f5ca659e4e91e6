#!/bin/bash
envsubst < /etc/t > /etc/u
/usr/bin/supervisord -n
