#!/bin/bash
./prepare-a &
./prepare-b &
wait
exec java -jar app.jar
