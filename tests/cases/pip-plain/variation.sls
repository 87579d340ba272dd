/srv/wheels:
  file.recurse: [{source: salt://wheels}]

case-words:
  pip.installed:
    - no_index: True
    - find_links: /srv/wheels
    - require: [{file: /srv/wheels}]
