# Makes a machine, or the root of an image, a builder: at each boot it reads its userdata and builds. Nothing is started here.
# Pillar, all optional:
#   ami_creator:
#     salt: pypi                 a Salt of our own, in /opt/vm_create/venv; or packages: from Salt's own repository, which you
#                                have configured for apt (not tried: it could not be reached where this was written)
#     wheels: salt://wheels      wheels of all that is required: neither network nor compiler is needed
#     extras: [ec2]              what a build needs that goes to EC2
#     pip: ["--index-url", ...]  further words for pip; they stand in the manifest, so no password
#     bases: [bookworm]          bases that the image brings prepared: releases, or mappings with release, type, mirror, packages, outputs
#     packages: true             apt's lists of these bases, and the packages that builds of the machine that makes the image have downloaded
#     master: salt.example.org   the builder is its minion; default: as this is applied: by salt-call --local, or in an image,
#                                nobody's, and its states are those of the project
{% set wanted = salt["pillar.get"]("ami_creator", {}) %}
{% set packaged = wanted.get("salt", "pypi") == "packages" %}
{% set inside = grains.get("vm_create_inside", False) %}
{% set project = salt["config.get"]("vm_create_project") or salt["vm_create.project"]() %}
{% set home = "/opt/vm_create" %}
{% set required = namespace(words="--requirement " ~ home ~ "/project/requirements.txt") %}
{% for extra in wanted.get("extras", []) %}
{% set required.words = required.words ~ " --requirement " ~ home ~ "/project/requirements-" ~ extra ~ ".txt" %}
{% endfor %}
{% set wheels = salt["cp.cache_dir"](wanted["wheels"]) if wanted.get("wheels") else [] %}
{% if wanted.get("wheels") and not wheels %}{{ raise("ami_creator:wheels is " ~ wanted["wheels"] ~ ", where no file is") }}{% endif %}
{% set words = ["--no-index", "--find-links", salt["file.dirname"](wheels[0])] if wheels else [] %}
{% set words = (words + wanted.get("pip", [])) | map("quote") | join(" ") %}
{% if packaged %}
{% set python, pip = "/opt/saltstack/salt/bin/python3", "salt-pip" %}
{% else %}
{% set python, pip = home ~ "/venv/bin/python", home ~ "/venv/bin/python -m pip" %}
{% endif %}
{% set install = pip ~ " install --no-cache-dir --disable-pip-version-check " ~ required.words %}

include:
  - ami_creator_tools

the project is here:
  cmd.run:
    - name: >-
        rm -rf {{ home }}/project && mkdir -p {{ home }}/project &&
        tar --extract --file {{ project }} --directory {{ home }}/project
    - unless: tar --compare --file {{ project }} --directory {{ home }}/project
    - umask: '022'
    - require:
      - sls: ami_creator_tools

# the builder lets it lead to another checkout, where its userdata names one
the current project is this one, unless there is another:
  file.symlink:
    - name: {{ home }}/current
    - target: {{ home }}/project
    - unless: test -e {{ home }}/current/_utils
    - require:
      - cmd: the project is here

{% if packaged %}
Salt is installed:
  pkg.installed:
    - pkgs:
      - salt-common
      - salt-minion

{% if inside and not wanted.get("master") %}
no minion looks for a master:
  service.disabled:
    - name: salt-minion
    - require:
      - pkg: Salt is installed
{% endif %}
{% else %}
Python can be given a room of its own:
  pkg.installed:
    - pkgs:
      - python3
      - python3-venv
    - install_recommends: False

Salt is given a room of its own:
  cmd.run:
    - name: /usr/bin/python3 -m venv {{ home }}/venv
    - unless: {{ pip }} --version
    - umask: '022'
    - require:
      - pkg: Python can be given a room of its own
      - cmd: the project is here
{% endif %}

Salt has all that the project requires:
  cmd.run:
{% if wheels or packaged %}
    - name: {{ install }} --quiet {{ words }}
{% else %}
    # timelib is source only: a compiler is installed for it, and removed with what came with it
    - name: |
        set -e
        packages() { dpkg-query --show --showformat '${binary:Package}\n' | sort; }
        before=$(packages)
        trap 'apt-get -q -y purge $(packages | grep -vxF "$before")' EXIT
        apt-get -q -y install --no-install-recommends gcc libc6-dev python3-dev
        {{ install }} --quiet {{ words }}
{% endif %}
    - unless: {{ install }} --quiet --dry-run --no-index
    - umask: '022'
    - require:
{% if packaged %}
      - pkg: Salt is installed
{% else %}
      - cmd: Salt is given a room of its own
{% endif %}
      - cmd: the project is here

{% if not packaged %}
its Python finds the current project:
  cmd.run:
    - name: >-
        {{ python }} -B -c 'import sysconfig;
        open(sysconfig.get_path("purelib") + "/vm_create.pth", "w").write("{{ home }}/current/_utils\n")'
    - unless: {{ python }} -B -c 'import sys; sys.exit("{{ home }}/current/_utils" not in sys.path)'
    - cwd: /
    - umask: '022'
    - require:
      - cmd: Salt has all that the project requires
      - file: the current project is this one, unless there is another

salt-call is on the path, if there was none:
  file.symlink:
    - name: /usr/local/bin/salt-call
    - target: {{ home }}/venv/bin/salt-call
    - unless: env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin which salt-call
    - require:
      - cmd: Salt has all that the project requires
{% endif %}

{% if inside %}
# systemd-resolved would ask its neighbours, for 4 s each time, for the name that a root has: Salt and sudo ask for that in there
an instance asks name servers, and no neighbours:
  file.managed:
    - name: /etc/systemd/resolved.conf.d/vm_create.conf
    - makedirs: True
    - mode: '0644'
    - contents: |
        # Written by the state ami_creator_builder; ami_creator_removed takes it away.
        [Resolve]
        LLMNR=no
        MulticastDNS=no
{% endif %}

the states and the pillar of this machine have a place:
  file.directory:
    - names:
      - /srv/salt
      - /srv/pillar
    - makedirs: True

Salt knows the current project:
  file.managed:
    - name: /etc/salt/minion.d/vm_create.conf
    - makedirs: True
    - mode: '0644'
    - contents: |
        # Written by the state ami_creator_builder; ami_creator_removed takes it away.
        module_dirs: [{{ home }}/current/_modules]
        states_dirs: [{{ home }}/current/_states]
        utils_dirs: [{{ home }}/current/_utils]
{%- if wanted.get("master") %}
        file_client: remote
        master: {{ wanted["master"] | yaml_dquote }}
{%- elif salt["config.get"]("file_client") == "local" %}
        file_client: local
        file_roots: {base: [/srv/salt, {{ home }}/current/states, {{ home }}/current]}
        pillar_roots: {base: [/srv/pillar]}
        log_level: info
        log_granular_levels: {salt: warning}
        # an instance asks no name server for names of its own
        enable_fqdns_grains: false
{%- endif %}

it builds at boot:
  file.managed:
    - name: /etc/systemd/system/vm_create.service
    - mode: '0644'
    - contents: |
        [Unit]
        Description=Read the userdata, build its variation and deliver the image
        Wants=network-online.target
        # cloud-config: the instance has its name and its apt sources. multi-user: nothing else waits hours for us
        After=network-online.target time-sync.target cloud-config.service multi-user.target
        Before=apt-daily.service apt-daily-upgrade.service

        [Service]
        Type=oneshot
        ExecStart={{ python }} -m vmimage.builder
        Environment=HOME=/root LANG=C.UTF-8 PYTHONUNBUFFERED=1
        # what it came with begins, and hands over to the current project: code that cannot run must not be for ever
        Environment=PYTHONPATH={{ home }}/project/_utils
        TimeoutStartSec=infinity
        StandardOutput=journal+console
        StandardError=journal+console

        [Install]
        WantedBy=multi-user.target
  service.enabled:
    - name: vm_create
    - require:
      - file: it builds at boot
      - file: Salt knows the current project
      - cmd: Salt has all that the project requires
{% if not packaged %}
      - cmd: its Python finds the current project
{% endif %}
