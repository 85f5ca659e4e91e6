#!/bin/sh
( node /agent.js & )
exec redis-server
