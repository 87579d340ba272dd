source routes:
  sysctl.present:
    - name: net.ipv4.conf.all.accept_source_route
    - value: 0

forwarding in a file of its own:
  sysctl.present:
    - name: net.ipv4.ip_forward
    - value: 1
    - config: /etc/sysctl.d/50-parity.conf

a mount in fstab:
  mount.fstab_present:
    - name: LABEL=data
    - fs_file: /srv/data
    - fs_vfstype: ext4
    - fs_mntops: noauto,nofail
    - fs_passno: 2

another way:
  mount.mounted:
    - name: /srv/shared
    - device: 192.0.2.1:/shared
    - fstype: nfs
    - opts: [noauto, ro]
    - mkmnt: True
    - mount: False
    - persist: True

a mount that goes:
  mount.fstab_present:
    - name: LABEL=old
    - fs_file: /srv/old
    - fs_vfstype: ext4
    - fs_mntops: noauto
    - mount: False

it goes:
  mount.fstab_absent:
    - name: LABEL=old
    - fs_file: /srv/old
    - require: [{mount: a mount that goes}]

not mounted:
  mount.unmounted:
    - name: /srv/nowhere
    - persist: True

modules at boot:
  file.managed:
    - name: /etc/modules-load.d/parity.conf
    - contents: dummy

a rule of udev:
  file.managed:
    - name: /etc/udev/rules.d/90-parity.rules
    - contents: 'SUBSYSTEM=="net", ACTION=="add", NAME="x"'

udev looks at it:
  cmd.run:
    - name: udevadm control --reload && udevadm trigger || true
    - onchanges: [{file: a rule of udev}]
