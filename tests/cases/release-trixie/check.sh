. "$CASES/words.sh"
has /etc/release-seen 'trixie 13'
has /etc/os-release VERSION_CODENAME=trixie
link /etc/systemd/system/multi-user.target.wants/cron.service /usr/lib/systemd/system/cron.service
there /usr/bin/lsb_release
link /etc/systemd/system/multi-user.target.wants/ssh-host-keys.service /etc/systemd/system/ssh-host-keys.service
right "ada has a home" test -d "$ROOT/home/ada"
gone /etc/ssh/ssh_host_ed25519_key
ramdisk_has virtio_blk
