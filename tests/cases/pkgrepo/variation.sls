/srv/repo:
  file.recurse: [{source: salt://repo}]

ours:
  pkgrepo.managed:
    - name: deb [signed-by=/etc/apt/keyrings/case.asc] file:/srv/repo ./
    - file: /etc/apt/sources.list.d/case.list
    - key_url: salt://key.asc
    - aptkey: False
    - clean_file: True
    - require: [{file: /srv/repo}]

case-brought:
  pkg.installed:
    - require: [{pkgrepo: ours}]

others:
  file.managed:
    - name: /etc/apt/sources.list.d/other.list
    - contents: deb file:/srv/none ./
  pkgrepo.absent:
    - name: deb file:/srv/none ./
    - file: /etc/apt/sources.list.d/other.list
    - require: [{file: others}, {pkg: case-brought}]
