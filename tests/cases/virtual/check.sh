. "$CASES/words.sh"
has /srv/guest "an agent"
has /srv/subtype none
gone /srv/host
