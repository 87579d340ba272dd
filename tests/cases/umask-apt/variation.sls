/srv/repo:
  file.recurse: [{source: "salt://repo"}]

/etc/apt/sources.list.d/case.list:
  file.managed:
    - contents: "deb [trusted=yes] file:/srv/repo ./"
    - require: [{file: /srv/repo}]

case-open:
  pkg.installed:
    - require: [{file: /etc/apt/sources.list.d/case.list}]
