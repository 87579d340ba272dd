/etc/sysctl.d/60-case.conf:
  file.managed:
    - contents: vm.dirty_writeback_centisecs = 4711

sysctl --system:
  cmd.run:
    - onchanges: [{file: /etc/sysctl.d/60-case.conf}]

sysctl -p /etc/sysctl.d/60-case.conf > /srv/said:
  cmd.run:
    - onchanges: [{file: /etc/sysctl.d/60-case.conf}]

/sbin/sysctl --system > /srv/by-path && test -e /srv/by-path:
  cmd.run:
    - onchanges: [{file: /etc/sysctl.d/60-case.conf}]

a service that is asked by path:
  cmd.run:
    - name: /usr/bin/systemctl start case && /bin/systemctl is-active case > /srv/active
    - require: [{file: /etc/systemd/system/case.service}]

/etc/systemd/system/case.service:
  file.managed:
    - contents: "[Service]\nExecStart=/bin/sleep 1000"
