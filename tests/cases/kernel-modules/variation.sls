br_netfilter:
  kmod.present:
    - persist: True

several:
  kmod.present:
    - mods: [dummy, overlay, br_netfilter]
    - persist: True

pcspkr:
  kmod.absent:
    - persist: True

gone again:
  kmod.absent:
    - name: overlay
    - persist: True
    - comment: False

salt-call --local kmod.load dummy > /srv/said 2>&1: cmd.run
