#!/bin/sh
exec /opt/one.sh
#%% /opt/one.sh
#!/bin/bash
java -jar x.jar
