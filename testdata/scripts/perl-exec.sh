#%% /usr/bin/pg_ctlcluster
#!/usr/bin/perl -wT
use strict;
exec $postgres, @options if $foreground;
