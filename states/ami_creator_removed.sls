# A builder is a plain machine again: undoes what ami_creator_builder made.
# Images, workspaces, caches, apt packages, /srv/salt, /srv/pillar and what the userdata said (in /etc/salt) stay.

it builds no more:
  service.dead:
    - name: vm_create

it builds at boot no more:
  service.disabled:
    - name: vm_create
    - require:
      - service: it builds no more

its unit, configuration and code are gone:
  file.absent:
    - names:
      - /etc/systemd/system/vm_create.service
      - /etc/salt/minion.d/vm_create.conf
      - /etc/systemd/resolved.conf.d/vm_create.conf
      - /opt/vm_create
    - require:
      - service: it builds at boot no more

salt-call is gone from the path, if it was ours:
  file.absent:
    - name: /usr/local/bin/salt-call
    - onlyif: readlink /usr/local/bin/salt-call | grep -qx /opt/vm_create/venv/bin/salt-call
