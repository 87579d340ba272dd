# What a master needs for a fleet besides the project: its schedule, its reactions to pokes and forges, and where forges call.
# Applied to the master's own minion, or by salt-call --local; restart the master afterwards. ami_fleet_removed takes it away.
# Pillar, all optional:
#   ami_fleet: {...}             the fleet itself; it is written for the master's user alone. Without it, write it into the master's configuration
#   ami_fleet_master:
#     every: 300                 seconds between two looks of the schedule, which find what a lost poke has missed
#     webhook: {address: 127.0.0.1, port: 5000, ssl_crt: /path, ssl_key: /path}    where forges call; without it nobody listens
#     directory: /etc/salt       of the master's configuration
#     user: salt                 who runs the master; default: the owner of pki/master
{% set wanted = salt["pillar.get"]("ami_fleet_master", {}) %}
{% for key in wanted if key not in ("every", "webhook", "directory", "user") %}{{ raise("ami_fleet_master has no key " ~ key) }}{% endfor %}
{% set directory = wanted.get("directory", "/etc/salt") %}
{% set keys = directory ~ "/pki/master" %}
{% set user = wanted.get("user") or (salt["file.get_user"](keys) if salt["file.directory_exists"](keys) else salt["file.get_user"]("/proc/self")) %}
{% set reactions = directory ~ "/vm_fleet" %}
{% set config = {
  "reactor": [
    {"vm_fleet/poke": [reactions ~ "/poke.sls"]},
    {"salt/engines/hook/vm_fleet": [reactions ~ "/hook.sls"]},
    {"salt/job/*_vm_fleet/ret/*": [reactions ~ "/end.sls"]},
  ],
  "schedule": {
    "vm_fleet": {"function": "vm_fleet.reconcile", "seconds": wanted.get("every", 300), "maxrunning": 1, "return_job": False},
  },
} %}
{% if wanted.get("webhook") %}
{% do config.update({"engines": [{"webhook": dict({"address": "127.0.0.1", "port": 5000}, **wanted["webhook"])}]}) %}
{% endif %}
{% if pillar.get("ami_fleet") %}{% do config.update({"ami_fleet": pillar["ami_fleet"]}) %}{% endif %}

# Salt merges the lists of the files in master.d, and puts them in place of those in the file master
no reaction or engine of the file master is lost:
  cmd.run:
    - name: echo "move reactor and engines from {{ directory }}/master to a file in {{ directory }}/master.d" >&2; exit 1
    - onlyif: grep -qsE '^["'"'"']?(reactor|engines)["'"'"']? *:' {{ directory }}/master

{% for name in ("poke", "hook", "end") %}
the reaction to {{ "the" if name == "end" else "a" }} {{ name }} is there:
  file.managed:
    - name: {{ reactions }}/{{ name }}.sls
    - makedirs: True
    - user: {{ user }}
    - mode: '0644'
    - contents: |
        #!py
        # Written by the state ami_fleet.
        def run():
            from vmimage.fleet.reactions import react_to_{{ name }}

            return react_to_{{ name }}(__opts__, data)
    - require_in:
      - file: the master knows the fleet
{% endfor %}

the master knows the fleet:
  file.serialize:
    - name: {{ directory }}/master.d/vm_fleet.conf
    - makedirs: True
    - user: {{ user }}
    - mode: '0600'
    - show_changes: False
    - serializer: json
    - dataset: {{ config | json }}
    - require:
      - cmd: no reaction or engine of the file master is lost
