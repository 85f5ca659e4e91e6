#!/bin/bash
set -e
umask 0002
if [[ "$1" != "eswrapper" ]]; then
  if [[ "$(id -u)" == "0" && $(basename "$1") == "elasticsearch" ]]; then
    set -- "elasticsearch" "${@:2}"
    exec chroot --userspec=1000:0 / "${@}"
  else
    exec "$@"
  fi
fi
source /usr/share/elasticsearch/bin/elasticsearch-env-from-file
if [[ "$(id -u)" == "0" ]]; then
  exec chroot --userspec=1000:0 / /usr/share/elasticsearch/bin/elasticsearch $ES_OPTS <<<"$KEYSTORE_PASSWORD"
fi
exec /usr/share/elasticsearch/bin/elasticsearch $ES_OPTS
#%% /usr/share/elasticsearch/bin/elasticsearch
#!/bin/bash
exec "/usr/share/elasticsearch/jdk/bin/java" -cp x org.elasticsearch.launcher.CliToolLauncher "$@"
#%% /usr/share/elasticsearch/jdk/bin/java
ELF
