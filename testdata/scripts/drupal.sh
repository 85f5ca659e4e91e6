#!/bin/sh
set -e
if [ "${1#-}" != "$1" ]; then
	set -- apache2-foreground "$@"
fi
exec "$@"
#%% /usr/local/bin/apache2-foreground
#!/bin/bash
set -e
exec apache2 -DFOREGROUND "$@"
