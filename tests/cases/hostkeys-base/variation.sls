/etc/ssh/sshd_config.d/50-mark.conf:
  file.managed: [{contents: PermitRootLogin no}]
