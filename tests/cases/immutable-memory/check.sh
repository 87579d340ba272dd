. "$CASES/words.sh"
has /etc/resolv.conf 'nameserver 192.0.2.1'
has /srv/kept/log first
right "a file of the base may be changed" sh -c "lsattr '$ROOT/etc/services' | grep -q '^----i'"
