# Makes a Debian or Ubuntu minion able to build images.
# The Salt modules themselves come by saltutil.sync_all, or by pip.

the programs that build images are installed:
  pkg.installed:
    - pkgs:
      - e2fsprogs
      - gpgv
      - mmdebstrap
      - mount
      - qemu-utils
      - tar
      - xz-utils
      - zstd

the directories of builds are there:
  file.directory:
    - names:
      - {{ salt["vm_create.setting"]("output") }}
      - {{ salt["vm_create.setting"]("workspace") }}
      - {{ salt["vm_create.setting"]("cache") }}
    - mode: '0755'
    - makedirs: True
