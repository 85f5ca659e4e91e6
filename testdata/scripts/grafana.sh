#%% /run.sh
#!/bin/bash -e
PERMISSIONS_OK=0
if [ ! -r "$GF_PATHS_CONFIG" ]; then
    echo "GF_PATHS_CONFIG='$GF_PATHS_CONFIG' is not readable."
    PERMISSIONS_OK=1
fi
if [ ! -z ${GF_AWS_PROFILES+x} ]; then
    for profile in ${GF_AWS_PROFILES}; do
        echo "$profile"
    done
fi
if [ ! -z "${GF_INSTALL_PLUGINS}" ]; then
  OLDIFS=$IFS
  IFS=','
  for plugin in ${GF_INSTALL_PLUGINS}; do
    grafana cli plugins install ${plugin}
  done
fi
exec grafana server                                         \
  --homepath="$GF_PATHS_HOME"                               \
  --config="$GF_PATHS_CONFIG"                               \
  "$@"                                                      \
  cfg:default.paths.data="$GF_PATHS_DATA"
