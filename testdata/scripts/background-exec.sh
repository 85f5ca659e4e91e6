#!/bin/bash
exec java -jar a.jar &
wait
