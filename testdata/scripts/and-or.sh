#!/bin/sh
mkdir -p /run/x && chown app /run/x && exec java -jar a.jar
