/etc/resolv.conf:
  file.managed: [{contents: "nameserver 192.0.2.1\nsearch example.org"}]
