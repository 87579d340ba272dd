include: [other, python, objects]

exclude: [{sls: never}, {id: not this}]

extend:
  words:
    file.managed: [{contents: of extend}]

{% for one in ["a", "b"] %}
beside {{ one }}:
  cmd.run: [{name: sleep 0.5 && touch /srv/beside-{{ one }}}, {parallel: True}]
{% endfor %}

after both:
  cmd.run:
    - name: test -e /srv/beside-a -a -e /srv/beside-b && touch /srv/after-both
    - parallel: True
    - require: [{cmd: beside a}, {cmd: beside b}]

at the second try:
  cmd.run:
    - name: test -e /run/tried && touch /srv/second-try || { touch /run/tried; false; }
    - retry: {attempts: 3, interval: 1}

by its check:
  file.managed: [{name: /srv/checked}, {contents: good}, {check_cmd: grep -q good}]

of a slot:
  file.managed: [{name: /srv/slot}, {contents: "__slot__:salt:test.echo(text)"}]

by a module:
  module.run:
    - test.echo: [{text: x}]
    - file.write: [{path: /srv/module}, {args: [x]}]

beforehand:
  cmd.run: [{name: test ! -e /srv/target && touch /srv/beforehand}, {prereq: [{file: /srv/target}]}]

/srv/target:
  file.managed: [{contents: x}]

any of two:
  cmd.run: [{name: touch /srv/any}, {onchanges_any: [{file: /srv/target}, {file: /etc/hostname}]}]

/etc/hostname:
  file.exists: []

on a failure:
  cmd.run: [{name: touch /srv/onfail}, {onfail: [{file: /srv/target}]}]

at the end:
  cmd.wait: [{name: test -e /srv/last && touch /srv/listened}, {listen: [{file: /srv/target}]}]

last:
  cmd.run: [{name: touch /srv/last}, {order: last}]

each of two:
  file.directory: [{names: [/srv/first, /srv/second: [{mode: '0700'}]]}]

with a watch:
  cmd.run: [{name: echo ran >> /srv/watching}]
  service.running: [{name: ssh}, {watch: [{file: /srv/target}]}]

unless it is there:
  cmd.run: [{name: "false"}, {unless: [{fun: file.file_exists, path: /etc/fstab}]}]

in the background:
  cmd.run: [{name: sleep 900}, {bg: True}]
