. "$CASES/words.sh"
mode /var/lib/cloud/scripts/per-boot/50-mark 755
has /var/lib/cloud/seed/nocloud-net/meta-data 'instance-id: stick'
has /var/lib/cloud/seed/nocloud-net/user-data 'timezone: UTC'
gone /var/lib/cloud/instances/i-1 /var/lib/cloud/data/instance-id
right "a link to an instance is there" not test -L "$ROOT/var/lib/cloud/instance"
