. "$CASES/words.sh"
right "fr_FR.UTF-8 is not made" sh -c "localedef --list-archive '$ROOT/usr/lib/locale/locale-archive' | grep -qi fr_FR.utf8"
right "LANG is not fr_FR.UTF-8" sh -c "cat '$ROOT/etc/default/locale' '$ROOT/etc/locale.conf' | grep -qE '^LANG=\"?fr_FR.UTF-8\"?$'"
has /etc/case-asks layout=fr
