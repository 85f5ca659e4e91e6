#%% /etc/confluent/docker/run
#!/usr/bin/env bash
. /etc/confluent/docker/bash-config
echo "===> Configuring ..."
/etc/confluent/docker/configure
echo "===> Launching ... "
exec /etc/confluent/docker/launch
#%% /etc/confluent/docker/bash-config
set -o nounset \
    -o errexit
#%% /etc/confluent/docker/launch
#!/usr/bin/env bash
if [ -z "$KAFKA_JMX_OPTS" ]; then
  export KAFKA_JMX_OPTS="-Dcom.sun.management.jmxremote=true"
fi
exec java -cp "$CLASSPATH" kafka.Kafka /etc/kafka/kafka.properties
