#!/bin/sh
exec $SERVICE
