#!/bin/sh
java -jar a.jar
rc=$?
echo "ended with $rc"
exit $rc
