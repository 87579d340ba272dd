# A push to a Mercurial repository, or a commit in it, pokes the fleet. The pillar is that of ami_fleet_poke.
{% set wanted = salt["pillar.get"]("ami_fleet_hook", {}) %}
{% set program = wanted.get("program", "/usr/local/sbin/vm_fleet_poke") %}

include:
  - ami_fleet_poke

{% for name, directory in (wanted.get("hg") or {}).items() %}
{% set hg = directory ~ "/.hg" %}
{% if not salt["file.directory_exists"](hg) %}{{ raise("ami_fleet_hook:hg:" ~ name ~ ": there is no Mercurial repository " ~ directory) }}{% endif %}
{% set owner = salt["file.get_user"](hg) %}
# hg trusts a file of the repository's owner, and no other
the repository {{ name }} has a file for its hook:
  file.managed:
    - name: {{ hg }}/vm_fleet.rc
    - user: {{ owner }}
    - mode: '0644'
    - contents: |
        # Written by the state ami_fleet_hg_hook. txnclose, for it also runs after a commit, a moved bookmark or a strip, once all is written.
        [hooks]
        txnclose.vm_fleet = {{ program | quote }} {{ name }}
    - require:
      - sls: ami_fleet_poke

the repository {{ name }} has a configuration:
  file.managed:
    - name: {{ hg }}/hgrc
    - user: {{ owner }}
    - replace: False

the repository {{ name }} pokes the fleet:
  file.append:
    - name: {{ hg }}/hgrc
    - text: "%include vm_fleet.rc"
    - require:
      - file: the repository {{ name }} has a file for its hook
      - file: the repository {{ name }} has a configuration
{% endfor %}
