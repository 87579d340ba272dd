{%- set tplroot = tpldir.split("/")[0] %}
{%- from tplroot ~ "/map.jinja" import website with context %}
include:
  - website.config

extend:
  website-config-file:
    file:
      - watch_in:
        - service: website-service

website-unit:
  file.managed:
    - name: /etc/systemd/system/{{ website.service }}.service
    - source: salt://{{ tplroot }}/files/default/website.service
    - require_in: [{file: website-config-file}]

website-service:
  service.running:
    - name: {{ website.service }}
    - enable: True
    - require: [{file: website-unit}, {sls: website.config}]
