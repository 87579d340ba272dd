/etc/sysctl.d/60-case.conf:
  file.managed:
    - contents: vm.dirty_writeback_centisecs = 4711

sysctl --system:
  cmd.run:
    - onchanges: [{file: /etc/sysctl.d/60-case.conf}]

sysctl -p /etc/sysctl.d/60-case.conf > /srv/said:
  cmd.run:
    - onchanges: [{file: /etc/sysctl.d/60-case.conf}]
