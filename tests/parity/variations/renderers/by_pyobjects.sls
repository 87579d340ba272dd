#!pyobjects
with Pkg.installed("mawk"):
    File.managed("/srv/by-pyobjects", contents=grains("os"), makedirs=True)
