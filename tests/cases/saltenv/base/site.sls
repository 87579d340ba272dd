/srv/base:
  file.managed: [{source: "salt://word"}]

/srv/dev:
  file.managed: [{source: "salt://word?saltenv=dev"}]

nothing is copied:
  cmd.run:
    - name: stat -f -c %T /run/vm_create/salt/var/cache/salt/minion/files/base /run/vm_create/salt/var/cache/salt/minion/files/dev > /srv/cached
