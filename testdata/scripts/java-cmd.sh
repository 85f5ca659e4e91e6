#!/bin/sh
if [ -z "$JAVACMD" ] ; then
  if [ -n "$JAVA_HOME"  ] ; then
    JAVACMD="$JAVA_HOME/bin/java"
  else
    JAVACMD="`\\unset -f command; \\command -v java`"
  fi
fi
exec "$JAVACMD" $MAVEN_OPTS -classpath x org.codehaus.plexus.classworlds.launcher.Launcher "$@"
