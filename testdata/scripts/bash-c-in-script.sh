#!/bin/sh
exec bash -c 'node a.js'
