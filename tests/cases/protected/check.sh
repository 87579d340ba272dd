. "$CASES/words.sh"
has /srv/fixed fixed
has /srv/log first
right "/srv/fixed is not immutable" test "$(lsattr "$ROOT/srv/fixed" | cut -c5)" = i
right "/srv/log can not only grow" test "$(lsattr "$ROOT/srv/log" | cut -c6)" = a
