#!/bin/bash
exec s6-setuidgid abc python3 /app/main.py
