lsb-release:
  pkg.installed: [{version: '12.*'}]

cron:
  pkg.installed: []
  service.running: [{enable: True}, {require: [{pkg: cron}]}]

ada:
  user.present: [{shell: /bin/bash}]

/etc/release-seen:
  file.managed: [{contents: "{{ grains.oscodename }} {{ grains.osmajorrelease }}"}]
