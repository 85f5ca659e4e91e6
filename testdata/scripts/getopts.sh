#!/bin/sh
while getopts "p:d" opt; do
  case $opt in
    p) PORT=$OPTARG ;;
    d) DEBUG=1 ;;
    *) exit 1 ;;
  esac
done
shift $((OPTIND - 1))
exec java -Dport="$PORT" -jar a.jar "$@"
