#!/bin/sh
exec "$0"
