/tmp:
  mount.mounted:
    - device: tmpfs
    - fstype: tmpfs
    - opts: [defaults, nodev, noexec, nosuid, size=100M]

/var/tmp:
  mount.mounted:
    - device: /tmp
    - fstype: none
    - opts: [bind]
    - require: [{mount: /tmp}]

/dev/shm:
  mount.mounted:
    - device: tmpfs
    - fstype: tmpfs
    - opts: [nodev, noexec, nosuid]

a directory of its own:
  mount.mounted:
    - name: /srv/scratch
    - device: tmpfs
    - fstype: tmpfs
    - opts: mode=0750
    - mkmnt: True

for a while:
  mount.mounted:
    - name: /srv/while
    - device: tmpfs
    - fstype: tmpfs
    - mkmnt: True

no more:
  mount.unmounted:
    - name: /srv/while
    - persist: True

never:
  mount.unmounted:
    - name: /srv/never
    - persist: True
