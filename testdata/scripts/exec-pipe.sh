#!/bin/sh
exec java -jar app.jar | tee /var/log/app.log
