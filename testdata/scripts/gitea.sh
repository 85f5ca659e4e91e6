#!/bin/sh
if [ "${USER}" != "git" ]; then
    sed -i -e "s/^git\:/${USER}\:/g" /etc/passwd
fi
if [ $# -gt 0 ]; then
    exec "$@"
else
    exec /bin/s6-svscan /etc/s6
fi
#%% /bin/s6-svscan
ELF
