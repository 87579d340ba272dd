. "$CASES/words.sh"
has /etc/hostname shop
right "no line for the name in /etc/hosts" grep -qE '^127\.0\.1\.1\s.*shop' "$ROOT/etc/hosts"
right "the builder was renamed" not test "$(hostname -s)" = shop
