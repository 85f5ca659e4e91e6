#!/bin/bash
exec > >(tee -a /var/log/app.log) 2>&1
exec java -jar app.jar
