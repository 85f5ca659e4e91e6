#!/bin/bash -eu
cmd="$1"
function running_as_root
{
    test "$(id -u)" = "0"
}
if running_as_root; then
    userid="neo4j"
    exec_cmd="exec gosu ${userid}:${userid}"
else
    userid="$(id -u)"
    exec_cmd="exec"
fi
if [ "${cmd}" == "dump-config" ]; then
    echo "Config Dumped"
    exit 0
fi
if [ "${cmd}" == "neo4j" ]; then
    ${exec_cmd} neo4j console
else
    ${exec_cmd} "$@"
fi
#%% /usr/bin/neo4j
#!/usr/bin/env bash
exec java -cp y org.neo4j.Boot "$@"
