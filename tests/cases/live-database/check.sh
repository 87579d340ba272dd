. "$CASES/words.sh"
has /srv/begun active
has /srv/said 42
has /srv/said "shop of app"
data=$(cd "$ROOT" && ls -d var/lib/postgresql/*/main)
right "the server was not stopped cleanly" sh -c "LC_ALL=C chroot '$ROOT' \$(cd '$ROOT' && ls usr/lib/postgresql/*/bin/pg_controldata) /$data | grep -q 'state: *shut down\$'"
gone "/$data/postmaster.pid" /usr/sbin/policy-rc.d
right "the data has no database of ours" sh -c "ls '$ROOT/$data/base' | grep -qE '^[1-9][0-9]{4,}\$'"
right "the service is not enabled" test -L "$ROOT/etc/systemd/system/multi-user.target.wants/postgresql.service"
