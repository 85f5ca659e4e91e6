#!/bin/sh
. ./run-common.sh
#%% /run-common.sh
exec nginx
