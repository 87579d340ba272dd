. "$CASES/words.sh"
for place in a b c; do right "/srv/$place/tool/bin/tool cannot be run" test -x "$ROOT/srv/$place/tool/bin/tool"; done
link /srv/a/tool/current bin/tool
right "what belongs to nobody does not" test "$(stat -c %U "$ROOT/srv/d/bin/tool")" = nobody
has /usr/share/case-packed/word packed
mode /srv/packed.deb 640
there /srv/first
has /srv/script word-Debian
right "files of the variation have changed" sh -c "cd '$(dirname "$0")' && sha256sum --quiet -c ../sums"
