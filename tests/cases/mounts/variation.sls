/tmp:
  mount.mounted:
    - device: tmpfs
    - fstype: tmpfs
    - opts: [defaults, nodev, noexec, nosuid, size=1G]

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

/proc:
  mount.mounted:
    - device: proc
    - fstype: proc
    - opts: [rw, hidepid=2]

/srv/scratch:
  mount.mounted:
    - device: tmpfs
    - fstype: tmpfs
    - mkmnt: True

/srv/gone:
  mount.mounted:
    - device: tmpfs
    - fstype: tmpfs
    - mkmnt: True
    - persist: False

no mount:
  mount.unmounted:
    - name: /srv/gone
    - persist: True

/run/lock:
  mount.unmounted:
    - persist: True

/swapfile:
  cmd.run:
    - name: head -c 16M /dev/zero > /swapfile && chmod 600 /swapfile && mkswap /swapfile
    - creates: /swapfile
  mount.swap:
    - require: [{cmd: /swapfile}]

LABEL=data:
  mount.fstab_present: [{fs_file: /srv/data, fs_vfstype: ext4}]

"! swapon /srv/other 2> /srv/said": cmd.run

swapon /swapfile && swapon -a && swapoff -a && swapon --show > /srv/swap && cat /proc/swaps >> /srv/swap: cmd.run
