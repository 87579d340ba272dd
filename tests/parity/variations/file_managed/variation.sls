contents, a mode and directories that are made:
  file.managed:
    - name: /etc/parity/deep/contents
    - contents: |
        first line
        second line
    - makedirs: True
    - dir_mode: '0750'
    - mode: '0640'
    - group: adm

from the file_roots:
  file.managed:
    - name: /etc/parity/plain
    - source: salt://files/plain
    - mode: keep
    - require: [{file: "contents, a mode and directories that are made"}]

a template with defaults and context:
  file.managed:
    - name: /etc/parity/rendered
    - source: salt://files/rendered.jinja
    - template: jinja
    - defaults: {colour: blue, size: 1}
    - context: {size: 2}

the first source that there is:
  file.managed:
    - name: /etc/parity/fallback
    - source: [salt://files/nowhere, salt://files/plain]

from a local file with its hash:
  file.managed:
    - name: /etc/parity/local
    - source: /etc/debian_version
    - skip_verify: True

from the pillar:
  file.managed:
    - name: /etc/parity/from-pillar
    - contents_pillar: parity:text

from a grain:
  file.managed:
    - name: /etc/parity/from-grain
    - contents_grains: osfinger

what is there stays:
  file.managed:
    - name: /etc/hostname
    - contents: another
    - replace: False

nothing is made:
  file.managed:
    - name: /etc/parity/not-created
    - contents: text
    - create: False

a copy of before is kept:
  file.managed:
    - name: /etc/issue
    - contents: "parity \\n \\l"
    - backup: False

it is checked before it is put there:
  file.managed:
    - name: /etc/sudoers.d/parity
    - contents: "%parity ALL=(ALL) NOPASSWD: ALL"
    - mode: '0440'
    - check_cmd: /usr/sbin/visudo -c -f

a template of python:
  file.managed:
    - name: /etc/parity/by-python
    - source: salt://files/rendered.py
    - template: py

setuid and another owner:
  file.managed:
    - name: /usr/local/bin/parity
    - contents: "#!/bin/sh"
    - user: games
    - group: games
    - mode: '6755'

into a directory that is a link:
  file.managed:
    - name: /lib/parity/through-a-link
    - contents: text
    - makedirs: True

latin:
  file.managed:
    - name: /etc/parity/latin
    - contents: "gr\xfc\xdfe"
    - encoding: iso-8859-1
