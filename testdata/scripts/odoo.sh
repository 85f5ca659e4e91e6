#!/bin/bash
set -e
: ${HOST:=${DB_PORT_5432_TCP_ADDR:='db'}}
DB_ARGS=()
function check_config() {
    param="$1"
    value="$2"
    DB_ARGS+=("--${param}")
    DB_ARGS+=("${value}")
}
check_config "db_host" "$HOST"
case "$1" in
    -- | odoo)
        shift
        if [[ "$1" == "scaffold" ]] ; then
            exec odoo "$@"
        else
            wait-for-psql.py ${DB_ARGS[@]} --timeout=30
            exec odoo "$@" "${DB_ARGS[@]}"
        fi
        ;;
    -*)
        wait-for-psql.py ${DB_ARGS[@]} --timeout=30
        exec odoo "$@" "${DB_ARGS[@]}"
        ;;
    *)
        exec "$@"
esac
exit 1
#%% /usr/local/bin/odoo
#!/usr/bin/python3
import odoo
