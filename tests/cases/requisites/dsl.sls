#!pydsl
state("/srv/dsl").file.managed(contents="dsl").require(file="/srv/target")
