#%% /wait.sh
#!/usr/bin/env bash
cmdname=$(basename $0)
wait_for() {
    start_ts=$(date +%s)
    while :
    do
        (echo > /dev/tcp/$HOST/$PORT) >/dev/null 2>&1
        result=$?
        if [[ $result -eq 0 ]]; then
            break
        fi
        sleep 1
    done
    return $result
}
while [[ $# -gt 0 ]]
do
    case "$1" in
        *:* )
        hostport=(${1//:/ })
        HOST=${hostport[0]}
        PORT=${hostport[1]}
        shift 1
        ;;
        -q | --quiet)
        QUIET=1
        shift 1
        ;;
        --)
        shift
        CLI=("$@")
        break
        ;;
        *)
        echoerr "Unknown argument: $1"
        exit 1
        ;;
    esac
done
wait_for
RESULT=$?
if [[ $CLI != "" ]]; then
    if [[ $RESULT -ne 0 && $STRICT -eq 1 ]]; then
        exit $RESULT
    fi
    exec "${CLI[@]}"
else
    exit $RESULT
fi
