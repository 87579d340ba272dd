/srv/shop:
  file.managed: [{contents: open}]
