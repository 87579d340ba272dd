#!pyobjects
with File.directory("/srv/objects"):
    File.managed("/srv/objects/inner", contents=grains("os_family"))
