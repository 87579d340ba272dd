. "$CASES/words.sh"
right "it was made without a machine that runs" grep -q '"live": true' "$MANIFEST"
right "the server was not stopped cleanly" sh -c "LC_ALL=C chroot '$ROOT' \$(cd '$ROOT' && ls usr/lib/postgresql/*/bin/pg_controldata) /var/lib/postgresql/15/main | grep -q 'state: *shut down\$'"
right "no server has a user app" grep -rqaw app "$ROOT/var/lib/postgresql/15/main/global"
