#!/bin/bash
exec -a my-service java -jar a.jar
