#!/bin/sh
trap 'echo bye; exit 0' TERM
node a.js
