#!/bin/sh
line="exec nginx -g 'daemon off;'"
eval "$line"
