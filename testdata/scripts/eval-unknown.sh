#!/bin/bash
eval "$(load-secrets)"
exec "$@"
