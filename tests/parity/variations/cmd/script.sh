#!/bin/sh
echo "{{ word }} $* $(basename "$PWD")" > /srv/script-${1}
