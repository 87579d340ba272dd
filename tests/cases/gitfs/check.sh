. "$CASES/words.sh"
has /srv/page "of the repository"
