. "$CASES/words.sh"
has /etc/mark changed
