#!/usr/bin/env bash
HYPHEN_SYMBOL='-'
exec gunicorn \
    --bind "${SUPERSET_BIND_ADDRESS:-0.0.0.0}:${SUPERSET_PORT:-8088}" \
    --workers ${SERVER_WORKER_AMOUNT:-1} \
    "${FLASK_APP}"
