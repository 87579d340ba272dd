/srv/base:
  file.managed: [{source: "salt://word"}]

/srv/dev:
  file.managed: [{source: "salt://word?saltenv=dev"}]
