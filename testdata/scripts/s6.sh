#%% /init
#!/bin/sh -e
# This is the first program launched at container start.
addpath () {
  x="$1"
  IFS=:
  set -- $PATH
  IFS=
  while test "$#" -gt 0 ; do
    if test "$1" = "$x" ; then
      return
    fi
    shift
  done
  PATH="${x}:$PATH"
}
if test -z "$PATH" ; then
  PATH=/bin
fi
addpath /bin
addpath /usr/bin
addpath /command
export PATH
exec s6-overlay-suexec \
  ' /package/admin/s6-overlay-3.1.5.0/libexec/preinit' \
  '' \
  /package/admin/s6-overlay-3.1.5.0/libexec/stage0 \
    "$@"
#%% /command/s6-overlay-suexec
ELF
