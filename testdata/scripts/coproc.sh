#!/bin/bash
coproc LOGGER { logger -t app; }
exec java -jar a.jar
