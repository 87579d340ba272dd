. "$CASES/words.sh"
export LC_ALL=C.UTF-8
right "the tree differs: $(diff -r "$(dirname "$0")/tree" "$ROOT/srv/tree" 2>&1 | head -5)" diff -r "$(dirname "$0")/tree" "$ROOT/srv/tree"
mode /srv/tree/program 755
there /srv/tree/nothing "/srv/$(printf 'caf\351')" "/srv/$(printf 'a\nb')" "/srv/$(printf 'dir-\377')"
has /etc/motd 'žluťoučký kůň – 猫'
right "the log with an odd name is not empty" not test -s "$ROOT/var/log/odd/$(printf 'log\351')"
right "the manifest is no JSON" python3 -c 'import json, sys; json.load(open(sys.argv[1], encoding="utf-8"))' "$MANIFEST"
