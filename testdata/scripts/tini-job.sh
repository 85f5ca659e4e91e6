#!/bin/sh
node agent.js &
exec java -jar a.jar
