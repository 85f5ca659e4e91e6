#!/bin/bash
start_service() {
  java -jar a.jar
}
start_service
