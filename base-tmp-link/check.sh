. "$HELP/words.sh"
has /etc/mark changed
link /tmp var/tmp
