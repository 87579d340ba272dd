{%- set tplroot = tpldir.split("/")[0] %}
{%- set sls_package = tplroot ~ ".package" %}
{%- from tplroot ~ "/map.jinja" import website with context %}
{%- from tplroot ~ "/libtofs.jinja" import files_switch with context %}
{%- from tplroot ~ "/macros.jinja" import page %}
include:
  - {{ sls_package }}

website-config-file:
  file.managed:
    - name: /etc/website.conf
    - source:
{{- files_switch(["website.conf.tmpl"]) }}
    - template: jinja
    - mode: '0644'
    - context:
        website: {{ website | json }}
    - require:
      - sls: {{ sls_package }}

{%- for name, text in website.pages | dictsort %}
{{ page(name, text, website.owner) }}
{%- endfor %}

website-where:
  file.managed:
    - name: /srv/website/where
    - contents: "{{ tplroot }} {{ tpldir }} {{ tpldot }} {{ tplfile }} {{ slspath }} {{ sls }} {{ slsdotpath }} {{ slscolonpath }}"
    - makedirs: True
