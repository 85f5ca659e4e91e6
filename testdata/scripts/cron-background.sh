#!/bin/bash
cron -f &
exec apache2 -DFOREGROUND
