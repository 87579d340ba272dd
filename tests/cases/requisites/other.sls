not this:
  cmd.run: [{name: "false"}]

words:
  file.managed: [{name: /srv/words}, {contents: plain}]
