#!/bin/sh
mkdir -p /run/app
tini -- node a.js
