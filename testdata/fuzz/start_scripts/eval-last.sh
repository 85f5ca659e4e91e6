#!/bin/sh
CMD=$(cat /command)
eval "$CMD"
