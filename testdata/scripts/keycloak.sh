#%% /opt/keycloak/bin/kc.sh
#!/bin/bash
case "$(uname)" in
    CYGWIN*) IS_CYGWIN="true" ;;
esac
DEBUG_MODE="${DEBUG:-false}"
CONFIG_ARGS=${CONFIG_ARGS:-""}
while [ "$#" -gt 0 ]
do
    case "$1" in
      --debug)
          DEBUG_MODE="true"
          shift
          ;;
      --)
          shift
          break
          ;;
      *)
          if [[ "$1" = --* || ! "$1" =~ ^-[^-].*$ ]]; then
            CONFIG_ARGS="$CONFIG_ARGS $1"
          else
            SERVER_OPTS="$SERVER_OPTS $1"
          fi
          shift
          ;;
    esac
done
if [ "x$JAVA" = "x" ]; then
    if [ "x$JAVA_HOME" != "x" ]; then
        JAVA="$JAVA_HOME/bin/java"
    else
        JAVA="java"
    fi
fi
eval exec "'$JAVA'" $JAVA_RUN_OPTS
