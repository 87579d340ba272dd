. "$CASES/words.sh"
has /etc/resolv.conf 'nameserver 192.0.2.1'
has /srv/kept/log first
is_protected() { lsattr -d "$ROOT$1" | cut -d' ' -f1 | grep -q "$2"; }
right "resolv.conf is not immutable" is_protected /etc/resolv.conf i
right "the log is not append-only" is_protected /srv/kept/log a
