#!/bin/bash
cd /home/container
MODIFIED_STARTUP=$(echo -e ${STARTUP} | sed -e 's/{{/${/g' -e 's/}}/}/g')
exec env ${MODIFIED_STARTUP}
