#!/bin/bash
mysqld --skip-networking &
sleep 5
killall mysqld
exec mysqld
