#!/bin/bash
exec timeout 3600 python batch.py
