. "$CASES/words.sh"
has /etc/mark changed
has /home/kept/word here
right "the fstab of the image names the partition still" not grep -q '^LABEL=more' "$ROOT/etc/fstab"
