#!/bin/bash
set -e
[[ "${VERBOSE:-}" = "yes" ]] && set -x
if ! [[ ${SOLR_PORT:-} =~ ^[0-9]+$ ]]; then
  SOLR_PORT=8983
  export SOLR_PORT
fi
if [ "${1:0:1}" == '-' ]; then
  set -- solr-foreground "$@"
fi
exec "$@"
#%% /usr/bin/solr-foreground
#!/bin/bash
set -e
. /opt/run-initdb
EXTRA_ARGS=()
if [[ -n "$SOLR_JETTY" ]]; then
  EXTRA_ARGS+=(--jettyconfig "$SOLR_JETTY")
fi
exec solr-fg -f "$@" "${EXTRA_ARGS[@]}"
#%% /usr/bin/solr-fg
#!/usr/bin/env bash
SOLR_START_OPTS=('-server' "${JAVA_MEM_OPTS[@]}")
function start_solr() {
  run_in_foreground="$1"
  if [ "$run_in_foreground" == "true" ]; then
    exec "$JAVA" "${SOLR_START_OPTS[@]}" -jar start.jar "${SOLR_JETTY_CONFIG[@]}"
  else
    nohup "$JAVA" "${SOLR_START_OPTS[@]}" -jar start.jar 1>"$LOG" 2>&1 & echo $! > "$PID_FILE"
  fi
}
JAVA=java
FG=false
while true; do
  case "${1:-}" in
    -f) FG="true"; shift ;;
    -p) PORT="$2"; shift 2 ;;
    "") break ;;
    *) shift ;;
  esac
done
start_solr "$FG" "$ADDITIONAL"
