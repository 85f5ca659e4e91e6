#!/bin/sh
exec $(cat /etc/service-command)
