#!/bin/sh
chown -R app /data
exec su app -s /bin/sh -c 'java -jar a.jar'
