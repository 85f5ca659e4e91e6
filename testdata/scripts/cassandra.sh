#!/bin/bash
set -e
if [ "${1:0:1}" = '-' ]; then
	set -- cassandra -f "$@"
fi
if [ "$1" = 'cassandra' -a "$(id -u)" = '0' ]; then
	find "$CASSANDRA_CONF" /var/lib/cassandra \! -user cassandra -exec chown cassandra '{}' +
	exec gosu cassandra "$BASH_SOURCE" "$@"
fi
exec "$@"
#%% /usr/local/bin/cassandra
#!/bin/sh
launch_service()
{
    pidpath="$1"
    foreground="$2"
    props="$3"
    class="$4"
    if [ "x$foreground" = "xyes" ]; then
        exec $NUMACTL "$JAVA" $JVM_OPTS $cassandra_parms -cp "$CLASSPATH" $props "$class"
    else
        exec $NUMACTL "$JAVA" $JVM_OPTS $cassandra_parms -cp "$CLASSPATH" $props "$class" <&- &
        [ ! -z "$pidpath" ] && printf "%d" $! > "$pidpath"
        true
    fi
    return $?
}
NUMACTL=""
JAVA="$JAVA_HOME/bin/java"
foreground="no"
while true; do
    case "$1" in
        -f)
            foreground="yes"
            shift
        ;;
        -p)
            pidfile="$2"
            shift 2
        ;;
        "")
            break
        ;;
        *)
            echo "Error parsing arguments! Unknown argument \"$1\"" >&2
            exit 1
        ;;
    esac
done
launch_service "$pidfile" "$foreground" "$properties" "org.apache.cassandra.service.CassandraDaemon"
exit $?
