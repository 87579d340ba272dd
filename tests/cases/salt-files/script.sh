#!/bin/sh
echo "$1-{{ grains.os }}" > /srv/script
