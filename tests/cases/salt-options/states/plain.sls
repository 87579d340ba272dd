% for name in ["first", "second"]
/srv/{{ name }}:
  file.managed:
    - source: salt://text
    - template: jinja
    - makedirs: True
% endfor
/srv/tree:
  file.recurse: [{source: salt://tree}]
