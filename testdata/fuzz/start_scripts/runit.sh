#!/bin/sh
exec runsvdir -P /etc/service
#%% /usr/bin/runsvdir
ELF
