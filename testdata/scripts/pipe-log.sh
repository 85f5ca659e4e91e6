#!/bin/bash
java -jar app.jar 2>&1 | tee /var/log/app.log
