#!/bin/bash
(cd /app && exec java -jar a.jar)
