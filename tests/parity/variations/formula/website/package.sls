{%- set tplroot = tpldir.split("/")[0] %}
{%- from tplroot ~ "/map.jinja" import website with context %}
website-package-installed:
  pkg.installed:
    - name: {{ website.package }}
