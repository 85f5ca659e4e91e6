#!/bin/sh
node a.js
