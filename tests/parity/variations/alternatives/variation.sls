programs:
  file.managed:
    - names: [/opt/a/tool, /opt/b/tool, /opt/c/tool]
    - contents: "#!/bin/sh"
    - mode: '0755'
    - makedirs: True

first:
  cmd.run:
    - names:
      - update-alternatives --install /usr/bin/tool tool /opt/a/tool 10
      - update-alternatives --install /usr/bin/tool tool /opt/b/tool 20
      - update-alternatives --install /usr/bin/tool tool /opt/c/tool 5
      - update-alternatives --set tool /opt/a/tool
      - update-alternatives --remove tool /opt/c/tool
      - update-alternatives --auto awk
    - require: [{file: programs}]

by the module:
  module.run:
    - alternatives.install: [{name: other, link: /usr/bin/other, path: /opt/b/tool, priority: 7}]
    - require: [{file: programs}]

unzip is there:
  pkg.installed:
    - pkgs: [unzip, xz-utils, bzip2]

archives:
  cmd.run:
    - name: |
        set -e
        mkdir -p /srv/made/top/below && cd /srv/made
        echo text > top/file; echo more > top/below/more; ln -s file top/link; chmod 750 top/below
        for kind in a.tar b.tar.gz c.tar.xz d.tar.bz2; do tar --sort=name --mtime=@1000000000 --owner=0 --group=0 -caf $kind top; done
        python3 -c 'import zipfile; z = zipfile.ZipFile("e.zip", "w"); z.writestr(zipfile.ZipInfo("top/file"), "zipped"); z.close()'
        rm -r top
    - creates: /srv/made/e.zip
    - require: [{pkg: unzip is there}]

{% for kind in ("a.tar", "b.tar.gz", "c.tar.xz", "d.tar.bz2", "e.zip") %}
extracted {{ kind }}:
  archive.extracted:
    - name: /srv/extracted/{{ kind }}
    - source: /srv/made/{{ kind }}
    - user: games
    - group: games
    - require: [{cmd: archives}]
{% endfor %}

extracted without its top:
  archive.extracted:
    - name: /srv/extracted/stripped
    - source: salt://small.tar
    - options: "--strip-components=1 --mtime"
    - enforce_toplevel: False
    - if_missing: /srv/extracted/stripped/file
    - keep_source: False
    - options: "--strip-components=1"

extracted and cleaned:
  archive.extracted:
    - name: /srv/extracted/clean
    - source: salt://small.tar
    - source_hash: salt://small.tar.sha256
    - clean: True
