#!/bin/sh
exec env -u SECRET TZ=UTC nice -n 5 ionice -c 2 stdbuf -oL java -jar a.jar
