. "$CASES/words.sh"
has /etc/resolv.conf "nameserver 127.0.0.53"
there /srv/default /srv/stub
right "only one name server" test "$(grep -c nameserver "$ROOT/etc/resolv.conf")" = 1
