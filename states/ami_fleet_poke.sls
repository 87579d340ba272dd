# The program by which hooks of repositories poke the fleet, on the machine that has the repositories; ami_fleet_hg_hook and ami_fleet_git_hook
# include it. It returns at once and never fails: a push neither waits for it nor notices that the master is down.
# Pillar:
#   ami_fleet_hook:
#     hg: {web: /srv/hg/web}          repositories: their exact names in ami_fleet, and where they are
#     git: {db: /srv/git/db.git}
#     by: minion                      the minion of this machine sends the poke (default); master: the master itself, on the same machine
#     users: [hg, git]                who pushes, where that is not root: sudo lets them poke for these repositories and do nothing else
#     program: /usr/local/sbin/vm_fleet_poke
#     master_config: /etc/salt        where the master's configuration is, for by: master
{% set wanted = salt["pillar.get"]("ami_fleet_hook", {}) %}
{% for key in wanted if key not in ("hg", "git", "by", "users", "program", "master_config") %}{{ raise("ami_fleet_hook has no key " ~ key) }}{% endfor %}
{% set repositories = dict(wanted.get("hg") or {}, **(wanted.get("git") or {})) %}
{% for name in repositories if not name | regex_match("([A-Za-z0-9][A-Za-z0-9._-]*)$") %}{{ raise("ami_fleet_hook: " ~ name ~ " is no name of a repository") }}{% endfor %}
{% set program = wanted.get("program", "/usr/local/sbin/vm_fleet_poke") %}
{% set by = wanted.get("by", "minion") %}
{% set bin = salt["file.dirname"](grains["pythonexecutable"]) %}
{% if by == "minion" %}
{% set which, config, bus = "salt-call", opts["config_dir"], "minion" %}
{% elif by == "master" %}
{% set which, config, bus = "salt-run", wanted.get("master_config", "/etc/salt"), "master" %}
{% else %}
{{ raise("ami_fleet_hook:by is " ~ by ~ ", not minion or master") }}
{% endif %}
{% set sender = bin ~ "/" ~ which if salt["file.file_exists"](bin ~ "/" ~ which) else salt["cmd.which"](which) or "/usr/bin/" ~ which %}

{% set by_bus %}
import sys, salt.config, salt.utils.event as bus
event = {"tag": "vm_fleet/poke", "data": {"repository": sys.argv[2]}}
{% if bus == "minion" %}
opts = salt.config.minion_config(sys.argv[1] + "/minion")
tag, event, opened = "fire_master", {**event, "events": None, "pretag": None}, bus.MinionEvent(opts, listen=False)
{% else %}
opts = salt.config.client_config(sys.argv[1] + "/master")
tag, event, opened = event["tag"], event["data"], bus.get_master_event(opts, opts["sock_dir"], listen=False)
{% endif %}
with opened as sender:
    sys.exit(not sender.fire_event(event, tag))
{% endset %}

{% if by == "minion" and opts.get("file_client") == "local" %}
the minion has a master to poke:
  test.fail_without_changes:
    - name: this minion has no master; apply it by the master or without --local, or say by master
    - failhard: True
{% endif %}

the fleet can be poked:
  file.managed:
    - name: {{ program }}
    - makedirs: True
    - mode: '0755'
    - contents: |
        #!/bin/sh
        # Written by the state ami_fleet_poke.   usage: vm_fleet_poke NAME
        # Tells the fleet that a repository has changed, in the background: what is lost here is found by the fleet's schedule.
        case "$1" in
        --send)
            [ "$(id -u)" = 0 ] || exec sudo -n "$0" --send "$2"
            # by the bus of a daemon that runs here, which takes a third of the time; else as a program of its own that signs in
            timeout 120 {{ grains["pythonexecutable"] | quote }} -c '{{ by_bus | trim | indent(8) }}' {{ config | quote }} "$2" ||
                timeout 120 {{ [sender, "-c", config, "--out", "quiet"] | map("quote") | join(" ") }} event.send vm_fleet/poke "{\"repository\": \"$2\"}" ||
                logger -t vm_fleet "the poke of $2 failed: is the master up?"
            ;;
        '' | *[!A-Za-z0-9._-]*) ;;
        *) setsid -f "$0" --send "$1" </dev/null >/dev/null 2>&1 ;;
        esac
        exit 0

{% if wanted.get("users") %}
who pushes can poke and no more:
  file.managed:
    - name: /etc/sudoers.d/vm_fleet_poke
    - mode: '0440'
    - check_cmd: visudo -c -f
    - contents: |
{%- for user in wanted["users"] %}{% for name in repositories %}
        {{ user }} ALL=(root) NOPASSWD: {{ program }} --send {{ name }}
{%- endfor %}{% endfor %}
{% endif %}
