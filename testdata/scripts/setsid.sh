#!/bin/sh
exec setsid java -jar a.jar
