#!/bin/sh
exec sh -c 'node a.js'
