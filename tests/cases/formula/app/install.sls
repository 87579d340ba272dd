{% set tplroot = tpldir.split("/")[0] %}
{% from "app/map.jinja" import app, line with context %}
{% from "./libs.jinja" import found with context %}
{% import_json "app/extra.json" as extra %}
{% include "app/none.jinja" ignore missing %}
/etc/app.facts:
  file.managed:
    - contents:
      - {{ line("port") }}
      - {{ line("family") }}
      - {{ line("names") | yaml_dquote }}
      - {{ line("nested") | yaml_dquote }}
      - extra is {{ extra.word }}
      - here is {{ tplroot }} {{ slspath }} {{ sls }} {{ tplfile }}
      - config is {{ salt["config.get"]("app:nested:right") }}
      - file is {{ salt["cp.get_file_str"]("salt://app/files/any/conf").split() | first }}
      - rendered is {{ salt["slsutil.renderer"]("salt://app/rendered.sls", colour="green").colour }}
      - default is {{ salt["defaults.get"]("app:app:port") }}

/etc/app.conf:
  file.managed:
    - source:{{ found([grains.id, grains.os_family, "any"]) }}
    - template: jinja
    - context: {app: {{ app | json }}}
