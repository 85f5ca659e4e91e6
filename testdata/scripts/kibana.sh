#!/bin/bash
kibana_vars=(
    console.enabled
    elasticsearch.hosts
)
longopts=''
for kibana_var in ${kibana_vars[*]}; do
    env_var=$(echo ${kibana_var^^} | tr . _)
    value=${!env_var}
    if [[ -n $value ]]; then
      longopt="--${kibana_var}=${value}"
      longopts+=" ${longopt}"
    fi
done
umask 0002
exec /usr/share/kibana/bin/kibana --allow-root --pid.file=/run/kibana/kibana.pid ${longopts} "$@"
#%% /usr/share/kibana/bin/kibana
#!/bin/sh
NODE=/usr/bin/node
exec "${NODE}" $NODE_OPTIONS /usr/share/kibana/src/cli/dist ${@}
