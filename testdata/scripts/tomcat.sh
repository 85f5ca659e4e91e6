#%% /usr/local/bin/catalina.sh
#!/bin/sh
cygwin=false
case "`uname`" in
CYGWIN*) cygwin=true;;
esac
PRG="$0"
while [ -h "$PRG" ]; do
  ls=`ls -ld "$PRG"`
  link=`expr "$ls" : '.*-> \(.*\)$'`
  if expr "$link" : '/.*' > /dev/null; then
    PRG="$link"
  else
    PRG=`dirname "$PRG"`/"$link"
  fi
done
PRGDIR=`dirname "$PRG"`
[ -z "$CATALINA_HOME" ] && CATALINA_HOME=`cd "$PRGDIR/.." >/dev/null; pwd`
if $cygwin; then
  [ -n "$JAVA_HOME" ] && JAVA_HOME=`cygpath --unix "$JAVA_HOME"`
fi
_RUNJAVA="$JRE_HOME"/bin/java
if [ "$1" = "debug" ] ; then
  shift
  eval exec "\"$_RUNJDB\"" org.apache.catalina.startup.Bootstrap "$@" start
elif [ "$1" = "run" ]; then
  shift
  eval exec "\"$_RUNJAVA\"" "\"$LOGGING_CONFIG\"" $LOGGING_MANAGER $JAVA_OPTS \
    -classpath "\"$CLASSPATH\"" \
    org.apache.catalina.startup.Bootstrap "$@" start
elif [ "$1" = "start" ] ; then
  shift
  touch "$CATALINA_OUT"
  eval $_NOHUP "\"$_RUNJAVA\"" org.apache.catalina.startup.Bootstrap "$@" start >> "$CATALINA_OUT" 2>&1 "&"
  echo "Tomcat started."
else
  echo "Usage: catalina.sh ( commands ... )"
  exit 1
fi
