#!/usr/bin/env bash
set -euo pipefail
declare -a sq_opts=()
set_prop() {
  if [ "$2" ]; then
    sq_opts+=("-D$1=$2")
  fi
}
if [ "${1:0:1}" = '-' ]; then
  set -- "/opt/sonarqube/bin/sonar.sh" "$@"
fi
if [[ "${1:-}" = '/opt/sonarqube/docker/sonar.sh' || $# -eq 0 ]]; then
    chown -R "$(id -u):$(id -g)" "${SQ_DATA_DIR}" 2>/dev/null || :
    set -- java -jar lib/sonarqube.jar -Dsonar.log.console=true "${sq_opts[@]}" "$@"
fi
exec "$@"
