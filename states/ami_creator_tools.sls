# Makes a Debian or Ubuntu minion able to build images.
# The Salt modules themselves come by saltutil.sync_all, or by pip; what they need besides Salt is named in
# _utils/vmimage/delivery.py.

the lists of apt are there, for they tell what a base is bootstrapped from:
  cmd.run:
    - name: apt-get -q update
    - unless: find /var/lib/apt/lists -name '*Release' | grep -q .

the programs that build images are installed:
  pkg.installed:
    - pkgs:
      - dosfstools
      - e2fsprogs
      - fdisk
      - gpgv
      - iproute2
      - mmdebstrap
      - mount
      - mtools
      - qemu-utils
      - slirp4netns
      - systemd-container
      - tar
      - xz-utils
      - zstd
    - install_recommends: False
    - require:
      - cmd: the lists of apt are there, for they tell what a base is bootstrapped from

the programs that fetch variations are installed:
  pkg.installed:
    - pkgs:
      - ca-certificates
      - git
      - mercurial
      - openssh-client
    - install_recommends: False
    - require:
      - cmd: the lists of apt are there, for they tell what a base is bootstrapped from

{% if not grains.get("vm_create_inside") %}
# in an image they are made by the builder's first run, where its userdata wants them
the directories of builds are there:
  file.directory:
    - names:
      - {{ salt["vm_create.setting"]("output") }}
      - {{ salt["vm_create.setting"]("workspace") }}
      - {{ salt["vm_create.setting"]("cache") }}
    - mode: '0755'
    - makedirs: True
{% endif %}
