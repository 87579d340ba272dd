. "$CASES/words.sh"
for line in "tmpfs /tmp tmpfs" "/tmp /var/tmp none bind" "tmpfs /dev/shm tmpfs" "proc /proc proc" "tmpfs /srv/scratch tmpfs" "LABEL=data /srv/data ext4" "/swapfile none swap"; do
    right "fstab has no line $line" sh -c "tr -s '\t' ' ' < '$ROOT/etc/fstab' | grep -q '^$line'"
done
right "what is mounted no more is in fstab" not grep -q /srv/gone "$ROOT/etc/fstab"
there /srv/scratch /swapfile
right "the builder's swap is seen" not test -s "$ROOT/srv/swap"
right "no remedy for swap that no boot uses" grep -q /etc/fstab "$ROOT/srv/said"
right "the builder has swap of the image" not grep -q /swapfile /proc/swaps
