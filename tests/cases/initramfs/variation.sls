/etc/initramfs-tools/modules:
  file.append: [{text: dm_mod}]

/etc/initramfs-tools/conf.d/small:
  file.managed: [{contents: "COMPRESS=zstd\nCOMPRESSLEVEL=1\nRESUME=none"}]

update-initramfs -u:
  cmd.run:
    - onchanges: [{file: /etc/initramfs-tools/modules}, {file: /etc/initramfs-tools/conf.d/small}]
