#!/bin/bash
set -o errexit
set -o nounset
set -o pipefail
. /opt/bitnami/scripts/libbitnami.sh
if [[ "$*" = *"/opt/bitnami/scripts/kafka/run.sh"* || "$*" = *"/run.sh"* ]]; then
    info "** Starting Kafka setup **"
    /opt/bitnami/scripts/kafka/setup.sh
fi
echo ""
exec "$@"
#%% /opt/bitnami/scripts/libbitnami.sh
info() { printf '%s\n' "$*"; }
am_i_root() {
    if [[ "$(id -u)" = "0" ]]; then
        true
    else
        false
    fi
}
#%% /opt/bitnami/scripts/kafka/run.sh
#!/bin/bash
set -o errexit
. /opt/bitnami/scripts/libbitnami.sh
flags=("$KAFKA_CONF_FILE")
[[ -z "${KAFKA_EXTRA_FLAGS:-}" ]] || flags=("${flags[@]}" "${KAFKA_EXTRA_FLAGS[@]}")
START_COMMAND=("$KAFKA_HOME/bin/kafka-server-start.sh" "${flags[@]}" "$@")
info "** Starting Kafka **"
if am_i_root; then
    exec gosu kafka java "${START_COMMAND[@]}"
else
    exec java "${START_COMMAND[@]}"
fi
