#!/usr/bin/env bash
set -euo pipefail
function run_check_with_retries {
    local cmd countdown
    cmd="${1}"
    countdown="${CONNECTION_CHECK_MAX_COUNT}"
    while true
    do
        set +e
        local last_check_result
        ${cmd}
        res=$?
        set -e
        if [[ ${res} == 0 ]]; then
            echo
            break
        else
            countdown=$((countdown-1))
        fi
    done
}
if [[ ${1:-} == "bash" ]]; then
   shift
   exec "/bin/bash" "${@}"
elif [[ ${1:-} == "python" ]]; then
   shift
   exec "python" "${@}"
fi
exec "airflow" "${@}"
