. "$CASES/words.sh"
there /srv/second /srv/tree/kept
has /srv/shop open
gone /srv/tree/kept.bak
right "/srv/first is $(cat "$ROOT/srv/first")" test "$(cat "$ROOT/srv/first")" = "one
two"
