/srv/guest:
  file.managed: [{contents: an agent}]
