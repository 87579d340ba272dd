. "$CASES/words.sh"
has /etc/sysctl.d/60-case.conf "vm.dirty_writeback_centisecs = 4711"
has /srv/said "vm.dirty_writeback_centisecs = 4711"
there /srv/by-path
has /srv/active active
right "the builder's kernel was changed" not grep -q 4711 /proc/sys/vm/dirty_writeback_centisecs
right "a program of ours is in the image" not test -e "$ROOT/usr/local/bin/sysctl"
