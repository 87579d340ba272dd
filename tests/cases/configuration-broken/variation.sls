nginx:
  pkg.installed: []
  service.running:
    - enable: True
    - watch: [{file: /etc/nginx/conf.d/own.conf}]

/etc/nginx/conf.d/own.conf:
  file.managed:
    - contents: "server { lisen 8080; }"
    - require: [{pkg: nginx}]

ssh:
  service.running:
    - reload: True
    - watch: [{file: /etc/ssh/sshd_config.d/own.conf}]

/etc/ssh/sshd_config.d/own.conf:
  file.managed:
    - contents: PermitRootLogn no

nftables:
  pkg.installed: []
  service.running:
    - enable: True
    - watch: [{file: /etc/nftables.conf}]

/etc/nftables.conf:
  file.managed:
    - contents: "table inet own { chain in { type filter hok input priority 0; } }"
    - require: [{pkg: nftables}]
