#!/bin/sh
f() { f; }
f
