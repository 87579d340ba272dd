last of all:
  file.append:
    - name: /srv/order
    - text: last of all
    - order: last

first of all:
  file.append:
    - name: /srv/order
    - text: first of all
    - makedirs: True
    - order: 1

changes:
  file.managed:
    - name: /srv/changes
    - contents: text

changes nothing:
  file.exists:
    - name: /etc/hosts

on changes:
  cmd.run:
    - name: echo on changes >> /srv/order
    - onchanges: [{file: changes}]

on no changes:
  cmd.run:
    - name: echo on no changes >> /srv/order
    - onchanges: [{file: changes nothing}]

on any changes:
  cmd.run:
    - name: echo on any changes >> /srv/order
    - onchanges_any: [{file: changes nothing}, {file: changes}]

on a failure that is none:
  cmd.run:
    - name: echo on fail >> /srv/order
    - onfail: [{file: changes}]

on any failure that is none:
  cmd.run:
    - name: echo on fail any >> /srv/order
    - onfail_any: [{file: changes}]

any is enough:
  cmd.run:
    - name: echo require any >> /srv/order
    - require_any: [{file: changes nothing}, {file: changes}]

any watched:
  cmd.run:
    - name: echo watch any >> /srv/order
    - watch_any: [{file: changes nothing}, {file: changes}]

before a change:
  cmd.run:
    - name: test ! -e /srv/prereq && echo before >> /srv/order
    - prereq: [{file: a change to come}]

a change to come:
  file.managed:
    - name: /srv/prereq
    - contents: text

before no change:
  cmd.run:
    - name: echo before no change >> /srv/order
    - prereq: [{file: changes nothing}]

listens:
  cmd.wait:
    - name: echo listened >> /srv/order
    - listen: [{file: changes}]

made to listen:
  test.succeed_with_changes:
    - listen_in: [{cmd: listens too}]

listens too:
  cmd.wait:
    - name: echo listened in >> /srv/order

required in:
  cmd.run:
    - name: echo required in >> /srv/order
    - require_in: [{cmd: requires}]

requires:
  cmd.run:
    - name: echo requires >> /srv/order

uses:
  file.managed:
    - name: /srv/uses
    - use: [{file: what is used}]

what is used:
  file.managed:
    - name: /srv/used
    - contents: of another
    - mode: '0600'
    - group: adm

{% for name in ("a", "b", "c") %}
many {{ name }}:
  test.nop: []
{% endfor %}

all of an sls:
  cmd.run:
    - name: echo after an sls >> /srv/order
    - require: [{sls: other}]

by a pattern:
  cmd.run:
    - name: echo by a pattern >> /srv/order
    - require: [{test: 'many *'}]

names:
  file.managed:
    - names:
      - /srv/name-one
      - /srv/name-two: [{mode: '0600'}]
    - contents: several

tests:
  test.configurable_test_state:
    - changes: True
    - result: True
    - comment: said

nothing but a check:
  test.check_pillar:
    - present: [there]

succeeds:
  test.succeed_without_changes: []

shown:
  test.show_notification:
    - text: shown

reload:
  cmd.run:
    - name: "true"
    - reload_modules: True
    - reload_grains: True
    - reload_pillar: True

unless it is skipped:
  test.succeed_with_changes:
    - unless: "true"

watched by a module:
  module.wait:
    - name: test.ping
    - watch: [{file: changes}]

run by a module:
  module.run:
    - file.write:
      - path: /srv/by-a-module
      - args: [one, two]

a process that is not there:
  process.absent:
    - name: parity-nowhere

until:
  loop.until_no_eval:
    - name: test.echo
    - expected: yes it is
    - period: 0.1
    - timeout: 3
    - args: ["yes it is"]

include:
  - other

extend:
  of the other:
    file:
      - contents: extended

exclude:
  - id: not wanted
