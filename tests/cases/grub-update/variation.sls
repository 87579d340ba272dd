grub-common:
  pkg.installed:
    - pkgs: [grub-common, grub2-common]
    - install_recommends: False

/etc/default/grub:
  file.managed:
    - contents: |
        GRUB_DEFAULT=0
        GRUB_TIMEOUT=1
        GRUB_CMDLINE_LINUX="audit=1"

/boot/grub:
  file.directory: []

update-grub:
  cmd.run:
    - onchanges: [{file: /etc/default/grub}]
    - require: [{pkg: grub-common}, {file: /boot/grub}]
