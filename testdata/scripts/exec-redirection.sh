#!/bin/sh
exec >> /var/log/start.log 2>&1
java -jar app.jar
