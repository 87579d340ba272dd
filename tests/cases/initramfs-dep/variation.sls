/etc/initramfs-tools/conf.d/dep:
  file.managed: [{contents: "MODULES=dep\nCOMPRESS=zstd\nCOMPRESSLEVEL=1"}]

update-initramfs -u:
  cmd.run:
    - onchanges: [{file: /etc/initramfs-tools/conf.d/dep}]
