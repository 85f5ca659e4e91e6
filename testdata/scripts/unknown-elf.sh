#!/bin/sh
exec "$@"
#%% /opt/acme/daemon
ELF
