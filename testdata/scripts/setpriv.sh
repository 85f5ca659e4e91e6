#!/bin/bash
exec setpriv --reuid=app --regid=app --init-groups java -jar a.jar
