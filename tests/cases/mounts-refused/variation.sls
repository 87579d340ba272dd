/srv/disk:
  mount.mounted: [{device: /dev/vdb, fstype: ext4, mkmnt: True}]

/srv/share:
  mount.mounted: [{device: "192.0.2.1:/share", fstype: nfs, mkmnt: True}]

/srv/etc:
  mount.mounted: [{device: /etc, fstype: none, opts: [bind], mkmnt: True}]

/srv/none:
  file.managed: [{contents: no swap}]
  mount.swap: []
