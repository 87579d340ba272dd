packages of our own:
  cmd.script:
    - source: salt://make-packages.sh
    - creates: /srv/packages/Packages

from files:
  pkg.installed:
    - sources:
      - parity-plain: /srv/packages/parity-plain_1.0_all.deb
      - parity-conf: /srv/packages/parity-conf_1.0_all.deb
    - require: [{cmd: packages of our own}]

a repository:
  pkgrepo.managed:
    - name: deb [signed-by=/etc/apt/keyrings/parity.asc trusted=yes] file:/srv/packages ./
    - file: /etc/apt/sources.list.d/parity.list
    - key_url: salt://parity.asc
    - aptkey: False
    - require: [{cmd: packages of our own}]

a version:
  pkg.installed:
    - name: parity-versions
    - version: '1.0'
    - require: [{pkgrepo: a repository}]

a range of versions:
  pkg.installed:
    - pkgs: [parity-range: '<2.0']
    - require: [{pkg: a version}]

the latest:
  pkg.latest:
    - name: parity-latest
    - require: [{pkg: a range of versions}]

held:
  pkg.held:
    - name: parity-versions
    - require: [{pkg: a version}]

held by installing:
  pkg.installed:
    - name: parity-latest
    - hold: True
    - require: [{pkg: the latest}]

not held any more:
  pkg.unheld:
    - name: parity-latest
    - require: [{pkg: held by installing}]

what asks for answers:
  pkg.installed:
    - pkgs: [debconf-utils]
    - reload_modules: True

answers:
  debconf.set:
    - name: parity-asks
    - data:
        parity-asks/colour: {type: string, value: green}
        parity-asks/sure: {type: boolean, value: True}
    - require: [{pkg: what asks for answers}]

answers of a file:
  debconf.set_file:
    - source: salt://answers
    - require: [{pkg: what asks for answers}]

it asks:
  pkg.installed:
    - name: parity-asks
    - require: [{debconf: answers}, {debconf: answers of a file}, {pkgrepo: a repository}]

removed:
  pkg.removed:
    - name: parity-conf
    - require: [{pkg: from files}]

purged:
  pkg.purged:
    - name: parity-plain
    - require: [{pkg: from files}]

fetched alone:
  pkg.downloaded:
    - name: ed
    - require: [{pkg: it asks}]

from the mirror without recommends:
  pkg.installed:
    - pkgs: [ed, less]
    - install_recommends: False
    - refresh: False
    - require: [{pkg: fetched alone}]

a repository that goes:
  pkgrepo.absent:
    - name: deb http://192.0.2.1/debian nowhere main

with a service:
  pkg.installed:
    - name: parity-service
    - require: [{pkgrepo: a repository}]
