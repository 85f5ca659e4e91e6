#!/bin/sh
exec busybox init
