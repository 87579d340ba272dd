# A push to a git repository pokes the fleet; in one with a working tree a commit does, too. The pillar is that of ami_fleet_poke.
# A repository that has such a hook already keeps it: the state fails, and says which line that hook needs.
{% set wanted = salt["pillar.get"]("ami_fleet_hook", {}) %}
{% set program = wanted.get("program", "/usr/local/sbin/vm_fleet_poke") %}

include:
  - ami_fleet_poke

{% for name, directory in (wanted.get("git") or {}).items() %}
{% set has_tree = salt["file.directory_exists"](directory ~ "/.git") %}
{% set git = directory ~ "/.git" if has_tree else directory %}
{% if not salt["file.directory_exists"](git ~ "/objects") %}{{ raise("ami_fleet_hook:git:" ~ name ~ ": there is no git repository " ~ directory) }}{% endif %}
{% set line = (program | quote) ~ " " ~ name %}
{% for hook in ["post-receive", "post-commit", "post-merge"] if has_tree or hook == "post-receive" %}
{% set path = git ~ "/hooks/" ~ hook %}
{% if not salt["file.file_exists"](path) or salt["file.contains"](path, "Written by the state ami_fleet_git_hook") %}
the repository {{ name }} pokes the fleet by {{ hook }}:
  file.managed:
    - name: {{ path }}
    - makedirs: True
    - user: {{ salt["file.get_user"](git) }}
    - mode: '0755'
    - contents: |
        #!/bin/sh
        # Written by the state ami_fleet_git_hook.
        {{ line }}
    - require:
      - sls: ami_fleet_poke
{% else %}
the repository {{ name }} pokes the fleet by its own {{ hook }}:
  cmd.run:
    - name: echo '{{ path }} is a hook of your own; add the line' {{ line | quote }} >&2; exit 1
    - unless: grep -qxF {{ line | quote }} {{ path | quote }}
{% endif %}
{% endfor %}
{% endfor %}
