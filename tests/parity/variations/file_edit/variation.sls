what is edited:
  file.managed:
    - names:
      - /srv/edit/line
      - /srv/edit/block
      - /srv/edit/comment
      - /srv/edit/replace
      - /srv/edit/keyvalue
      - /srv/edit/append
      - /srv/edit/patch
    - source: salt://files/settings.conf
    - makedirs: True

a line after another:
  file.line:
    - name: /srv/edit/line
    - mode: ensure
    - content: "colour = green"
    - after: "^size"
    - require: &edited [{file: what is edited}]

a line goes:
  file.line:
    - name: /srv/edit/line
    - mode: delete
    - content: "# last"
    - require: [{file: a line after another}]

two add to a block:
  file.accumulated:
    - name: lines
    - filename: /srv/edit/block
    - text: [one, two]
    - require_in: [{file: a block}]

a block:
  file.blockreplace:
    - name: /srv/edit/block
    - marker_start: "# START managed"
    - marker_end: "# END managed"
    - content: "zero"
    - append_if_not_found: True
    - show_changes: True
    - require: *edited

lines behind:
  file.append:
    - name: /srv/edit/append
    - text:
      - behind one
      - behind two
    - require: *edited

a template behind:
  file.append:
    - name: /srv/edit/append
    - source: salt://files/more.jinja
    - template: jinja
    - require: [{file: lines behind}]

lines before:
  file.prepend:
    - name: /srv/edit/append
    - text: "before"
    - require: [{file: a template behind}]

commented:
  file.comment:
    - name: /srv/edit/comment
    - regex: ^size
    - require: *edited

uncommented:
  file.uncomment:
    - name: /srv/edit/comment
    - regex: on = yes
    - require: *edited

replaced:
  file.replace:
    - name: /srv/edit/replace
    - pattern: '(size) = \d+'
    - repl: '\1 = 42'
    - backup: '.before'
    - require: *edited

replaced or put behind:
  file.replace:
    - name: /srv/edit/replace
    - pattern: ^not there$
    - repl: now there
    - append_if_not_found: True
    - backup: False
    - require: [{file: replaced}]

keys and values:
  file.keyvalue:
    - name: /srv/edit/keyvalue
    - key_values: {size: '9', added: 'yes'}
    - separator: ' = '
    - uncomment: '# '
    - append_if_not_found: True
    - require: *edited

patch is installed:
  pkg.installed:
    - pkgs: [patch]

patched:
  file.patch:
    - name: /srv/edit/patch
    - source: salt://files/settings.patch
    - require: [{file: what is edited}, {pkg: patch is installed}]

{% for format in ("json", "yaml", "configparser", "msgpack") %}
serialized as {{ format }}:
  file.serialize:
    - name: /srv/edit/data.{{ format }}
    - serializer: {{ format }}
    - dataset: {section: {key: value, number: 7}}
{% endfor %}

merged into what is there:
  file.serialize:
    - name: /srv/edit/data.json
    - serializer: json
    - dataset: {section: {more: yes}}
    - merge_if_exists: True
    - require: [{file: serialized as json}]

decoded:
  file.decode:
    - name: /srv/edit/decoded
    - encoding_type: base64
    - contents_pillar: encoded

settings of an ini:
  ini.options_present:
    - name: /srv/edit/settings.ini
    - sections: {first: {a: '1', b: two}, second: {c: '3'}}

an option of it goes:
  ini.options_absent:
    - name: /srv/edit/settings.ini
    - sections: {first: [b]}
    - require: [{ini: settings of an ini}]

a section of it goes:
  ini.sections_absent:
    - name: /srv/edit/settings.ini
    - sections: [second]
    - require: [{ini: an option of it goes}]

mail for root goes elsewhere:
  alias.present:
    - name: root
    - target: someone@example.com

mail for another goes nowhere:
  alias.absent:
    - name: nobody
