#%% /opt/jboss/wildfly/bin/standalone.sh
#!/bin/sh
DIRNAME=`dirname "$0"`
JAVA="$JAVA_HOME/bin/java"
while true; do
   if [ "x$LAUNCH_JBOSS_IN_BACKGROUND" = "x" ]; then
      eval \"$JAVA\" -D\"[Standalone]\" -jar jboss-modules.jar "$@"
      JBOSS_STATUS=$?
   else
      eval \"$JAVA\" -D\"[Standalone]\" -jar jboss-modules.jar "$@" "&"
      JBOSS_PID=$!
      trap "kill -HUP  $JBOSS_PID" HUP
      trap "kill -TERM $JBOSS_PID" INT
      trap "kill -QUIT $JBOSS_PID" QUIT
      trap "kill -PIPE $JBOSS_PID" PIPE
      trap "kill -TERM $JBOSS_PID" TERM
      WAIT_STATUS=128
      while [ "$WAIT_STATUS" -ge 128 ]; do
         wait $JBOSS_PID 2>/dev/null
         WAIT_STATUS=$?
         if [ "$WAIT_STATUS" -gt 128 ]; then
            SIGNAL=`expr $WAIT_STATUS - 128`
            SIGNAL_NAME=`kill -l $SIGNAL`
            echo "*** JBossAS process ($JBOSS_PID) received $SIGNAL_NAME signal ***" >&2
         fi
      done
      break
   fi
   if [ "$JBOSS_STATUS" -ne 10 ]; then
      exit $JBOSS_STATUS
   fi
done
