. "$CASES/words.sh"
there /var/lib/systemd/linger/ada
