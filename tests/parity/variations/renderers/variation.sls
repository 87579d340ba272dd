#!jinja|yaml
include: [by_py, by_json, by_yaml, by_stateconf, by_yamlex, by_jinja_json, by_pyobjects]

{% set list = ["a", "b"] %}
{% load_yaml as settings %}
colour: green
{% endload %}
{% import_text "text.txt" as text %}
{% macro file(name) %}
/srv/{{ name }}:
  file.managed:
    - makedirs: True
    - contents: {{ caller() | yaml_dquote }}
{% endmacro %}
{% call file("called") %}by a call{% endcall %}

filters:
  file.managed:
    - name: /srv/filters
    - makedirs: True
    - contents: |
        {{ settings.colour }} {{ text | trim }} {{ list | json }} {{ {"a": 1} | yaml }} {{ "text" | sha256 }} {{ "x" | base64_encode }}
        {{ "a b" | quote }} {{ "192.0.2.1" | is_ip }} {{ [1, 2] | sum }} {{ "2020-01-01" | strftime("%Y") }} {{ "abc" | regex_match("a(.)c") }}
        {{ "a,b".split(",") | unique | sort | join("-") }} {{ 1 if salt.match.glob("render*") else 2 }} {{ opts["file_client"] }} {{ saltenv }} {{ show_full_context is defined }}
        {{ salt["slsutil.merge"]({"a": 1}, {"b": 2}) | json }} {{ grains.get("id") }} {{ salt.grains.get("os_family") }}
        {{ salt.cmd.run("echo from a command") }} {{ salt["file.file_exists"]("/etc/hosts") }} {{ salt["cp.get_file_str"]("salt://text.txt") | trim }}
        {{ grains["kernel"] }} {{ grains["init"] }} {{ grains["osmajorrelease"] }} {{ grains["os_family"] }} {{ grains["lsb_distrib_codename"] }} {{ grains["pythonversion"][:2] }}
        {{ grains["virtual_subtype"] | default("none") in ("none", "chroot", "systemd-nspawn") }} {{ grains["systemd"]["version"] }} {{ grains["shell"] }} {{ grains["username"] }}
