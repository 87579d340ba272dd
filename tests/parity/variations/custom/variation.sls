a module and a grain:
  file.managed:
    - name: /srv/said
    - contents: |
        {{ salt["parity.hello"]("you") }} {{ grains["parity"] }} {{ grains["parity_nested"]["of"] }} {{ salt["parity.by_utils"]() }}
        {{ salt["test.echo"]("not theirs") }}
    - makedirs: True

a state of our own:
  parity.noted:
    - name: /srv/noted
    - require: [{file: a module and a grain}]

a state with a submodule:
  parity.counted:
    - name: three
    - count: 3

a slot:
  file.managed:
    - name: /srv/slot
    - contents: __slot__:salt:parity.hello(slot)
    - require: [{file: a module and a grain}]

a slot of what was made before:
  cmd.run:
    - name: __slot__:salt:parity.command(/srv/said)
    - require: [{file: a module and a grain}]

{% for number in range(4) %}
beside {{ number }}:
  cmd.run:
    - name: sleep 0.2; echo {{ number }} > /srv/beside-{{ number }}
    - parallel: True
{% endfor %}

behind those:
  cmd.run:
    - name: cat /srv/beside-* > /srv/beside
    - require: {{ [{"cmd": "beside 0"}, {"cmd": "beside 1"}, {"cmd": "beside 2"}, {"cmd": "beside 3"}] | json }}

salt itself:
  cmd.run:
    - name: salt-call --local --out json parity.hello shell > /srv/from-salt-call

a function that calls states:
  module.run:
    - state.single:
      - file.managed
      - name: /srv/by-state-single
      - contents: text

by its own module's state run:
  module.run:
    - state.sls:
      - inner

a file by the module:
  module.run:
    - file.touch:
      - /srv/touched-by-module

rendered by ours:
  file.managed:
    - name: /srv/rendered
    - contents: {{ salt["slsutil.renderer"](string="quiet", default_renderer="shout") | string | yaml_dquote }}

by our own serializer:
  file.serialize:
    - name: /srv/serialized
    - serializer: shouted
    - dataset: {one: of, two: three}

from our own store:
  file.managed:
    - name: /srv/stored
    - contents: {{ salt["sdb.get"]("sdb://parity/key") }}
