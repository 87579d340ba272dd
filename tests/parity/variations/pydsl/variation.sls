#!pydsl
state("/srv/by-pydsl").file.managed(contents="text")
