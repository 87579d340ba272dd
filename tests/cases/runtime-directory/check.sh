. "$CASES/words.sh"
has /etc/ssh/sshd_config "PermitRootLogin no"
has /etc/seen "root 755"
right "something of the build is below /run" test -z "$(ls -A "$ROOT/run")"
