. "$CASES/words.sh"
has /srv/base base
has /srv/dev dev
has /srv/trial dev
