#!/bin/bash
exec runuser -u app -- java -jar a.jar
