#!/bin/bash
set -e
if [[ "$1" = 'zkServer.sh' && "$(id -u)" = '0' ]]; then
    chown -R zookeeper "$ZOO_DATA_DIR" "$ZOO_DATA_LOG_DIR"
    exec gosu zookeeper "$0" "$@"
fi
exec "$@"
#%% /usr/local/bin/zkServer.sh
#!/usr/bin/env bash
if [[ "x$JMXLOCALONLY" = "x" ]]; then
    JMXLOCALONLY=false
fi
ZOOMAIN="org.apache.zookeeper.server.quorum.QuorumPeerMain"
JAVA="$JAVA_HOME"/bin/java
case $1 in
start)
    nohup "$JAVA" $ZOO_DATADIR_AUTOCREATE -cp "$CLASSPATH" $JVMFLAGS $ZOOMAIN "$ZOOCFG" > "$_ZOO_DAEMON_OUT" 2>&1 < /dev/null &
    ;;
start-foreground)
    ZOO_CMD=(exec "$JAVA")
    if [[ "${ZOO_NOEXEC}" != "" ]]; then
      ZOO_CMD=("$JAVA")
    fi
    "${ZOO_CMD[@]}" $ZOO_DATADIR_AUTOCREATE "-Dzookeeper.log.dir=${ZOO_LOG_DIR}" -cp "$CLASSPATH" $JVMFLAGS $ZOOMAIN "$ZOOCFG"
    ;;
*)
    echo "Usage: $0" >&2
esac
