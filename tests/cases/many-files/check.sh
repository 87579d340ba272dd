. "$CASES/words.sh"
right "files are missing" test "$(find "$ROOT/srv" -type f | wc -l)" = 120000
right "few inodes are left: $(df --output=iavail "$ROOT")" test "$(df --output=iavail "$ROOT" | tail -1)" -gt 2000
