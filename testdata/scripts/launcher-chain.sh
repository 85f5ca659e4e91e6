#!/bin/sh
exec /opt/one.sh --a
#%% /opt/one.sh
#!/bin/bash
cd "$(dirname "${BASH_SOURCE[0]}")" && exec ./two.sh "$@"
#%% /opt/two.sh
#!/bin/sh
exec java -jar x.jar "$@"
