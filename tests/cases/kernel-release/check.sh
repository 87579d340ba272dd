. "$CASES/words.sh"
kernel=$(basename "$ROOT"/boot/vmlinuz-*) kernel=${kernel#vmlinuz-}
for name in grain name path script by-module; do
    has /srv/$name "$kernel"
done
right "uname -a does not name $kernel: $(cat "$ROOT/srv/all")" grep -q " $kernel #" "$ROOT/srv/all"
has /srv/machine "$(uname -m)"
gone /usr/local/bin/uname
