#!/bin/sh
exec uwsgi --ini app.ini --die-on-term
