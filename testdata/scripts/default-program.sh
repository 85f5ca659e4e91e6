#!/bin/sh
exec ${SERVER:-nginx} -g 'daemon off;'
