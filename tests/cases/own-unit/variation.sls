/usr/local/bin/shop:
  file.managed: [{contents: "#!/bin/sh\nexec sleep infinity"}, {mode: '0755'}]

/etc/systemd/system/shop.service:
  file.managed:
    - contents: |
        [Unit]
        Description=the shop
        [Service]
        ExecStart=/usr/local/bin/shop
        [Install]
        WantedBy=multi-user.target

/etc/systemd/system/shop.service.d/limit.conf:
  file.managed: [{contents: "[Service]\nMemoryMax=1G"}, {makedirs: True}]

reload:
  module.run:
    - service.systemctl_reload: []
    - onchanges: [{file: /etc/systemd/system/shop.service}]

shop:
  service.running:
    - enable: True
    - reload: True
    - watch: [{file: /usr/local/bin/shop}, {file: /etc/systemd/system/shop.service}]

asks:
  cmd.run:
    - name: echo asked > /srv/asked
    - require: [{service: shop}]

ssh:
  service.dead: [{enable: False}, {require: [{service: shop}]}]
