#!/bin/bash
java $JAVA_OPTS -jar /app.jar
