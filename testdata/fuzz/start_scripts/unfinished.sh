#!/bin/sh
if [ -f x ]; then
exec nginx
