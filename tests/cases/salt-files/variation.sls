{% for place, file, more in [
  ("/srv/a", "tool.tar.gz", {"source_hash": "salt://tool.sums", "keep_source": False}),
  ("/srv/b", "tool.tar.gz", {"skip_verify": True, "keep_source": False}),
  ("/srv/c", "tool.zip", {"skip_verify": True}),
  ("/srv/d", "tool.tar.gz", {"skip_verify": True, "options": "--strip-components=1", "user": "nobody"})] %}
{{ place }}:
  archive.extracted:
    - source: salt://{{ file }}
    - enforce_toplevel: False
{%- for key, value in more.items() %}
    - {{ key }}: {{ value | json }}
{%- endfor %}
{% endfor %}

case-packed:
  pkg.installed:
    - sources: [{case-packed: salt://packed.deb}]

the package again:
  file.managed: [{name: /srv/packed.deb}, {source: salt://packed.deb}, {mode: '0640'}]

cached:
  file.cached: [{name: salt://packed.deb}]

the first there is:
  file.managed:
    - name: /srv/first
    - source: [salt://missing, salt://script.sh]

script:
  cmd.script:
    - source: salt://script.sh
    - template: jinja
    - args: word
