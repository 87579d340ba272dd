. "$CASES/words.sh"
has /srv/slow "done"
has /srv/of-user "done"
