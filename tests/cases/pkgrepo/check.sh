. "$CASES/words.sh"
has /usr/share/case-brought/word brought
has /etc/apt/sources.list.d/case.list 'deb [signed-by=/etc/apt/keyrings/case.asc] file:/srv/repo ./'
right "the key is not where signed-by says" grep -q 'BEGIN PGP PUBLIC KEY' "$ROOT/etc/apt/keyrings/case.asc"
right "the absent repository is there" not grep -rq '^deb.*srv/none' "$ROOT/etc/apt"
