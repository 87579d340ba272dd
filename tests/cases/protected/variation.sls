/srv/fixed:
  file.managed: [{contents: fixed}, {attrs: i}]

/srv/log:
  file.managed: [{contents: first}, {attrs: a}]
