. "$CASES/words.sh"
right "grace is not in passwd" grep -q '^grace:x:1987654321:1987654321:' "$ROOT/etc/passwd"
right "grace has no password" grep -qF 'grace:$6$word$Hkt:' "$ROOT/etc/shadow"
right "home is not hers" test "$(stat -c %u:%g "$ROOT/home/grace")" = 1987654321:1987654321
right "the disk has $(stat -c %s "$ROOT/srv/disk") bytes" test "$(stat -c %s "$ROOT/srv/disk")" = 214748364804
right "the end of the disk is not there" test "$(tail -c 4 "$ROOT/srv/disk")" = end
right "the disk takes $(stat -c %b "$ROOT/srv/disk") blocks" test "$(stat -c %b "$ROOT/srv/disk")" -lt 64
right "the image has grown" test "$(df --output=used -k "$ROOT" | tail -1)" -lt 250000
