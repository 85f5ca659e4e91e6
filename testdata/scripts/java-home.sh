#!/bin/sh
exec "$JAVA_HOME/bin/java" $JAVA_OPTS -jar /app.jar
#%% /opt/java/bin/java
ELF
