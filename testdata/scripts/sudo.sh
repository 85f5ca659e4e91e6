#!/bin/bash
exec sudo -E -u app java -jar a.jar
