pip:
  pkg.installed:
    - pkgs: [python3-pip, python3-venv]
    - install_recommends: False

/srv/wheels:
  file.recurse: [{source: salt://wheels}]

for all:
  pip.installed:
    - name: case-words
    - bin_env: /usr/bin/pip3
    - no_index: True
    - find_links: /srv/wheels
    - extra_args: [--break-system-packages]
    - require: [{pkg: pip}, {file: /srv/wheels}]

/srv/venv:
  cmd.run:
    - name: python3 -m venv /srv/venv
    - creates: /srv/venv/bin/pip
    - require: [{pkg: pip}]

for one:
  pip.installed:
    - bin_env: /srv/venv
    - requirements: salt://needs.txt
    - no_index: True
    - find_links: /srv/wheels
    - require: [{cmd: /srv/venv}, {file: /srv/wheels}]
