. "$CASES/words.sh"
has /usr/share/case-open/inner/word open
mode /usr/share/case-open/inner 755
mode /usr/share/case-open/made 755
mode /usr/share/case-open/made/file 644
mode /var/lib/apt/lists 755
