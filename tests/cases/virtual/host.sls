/srv/host:
  file.managed: [{contents: microcode}]
