#!/bin/bash
source "$(dirname "$0")/lib.sh"
start "$@"
#%% /lib.sh
start() {
  exec "$@"
}
