#!/bin/bash
(sleep 10; curl -s http://localhost/warm) &
exec java -jar app.jar
