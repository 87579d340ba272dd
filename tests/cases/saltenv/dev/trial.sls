/srv/trial:
  file.managed: [{source: "salt://word"}]
