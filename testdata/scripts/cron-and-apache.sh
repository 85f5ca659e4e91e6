#!/bin/bash
service cron start
exec "$@"
#%% /usr/local/bin/apache2-foreground
#!/bin/bash
exec apache2 -DFOREGROUND
