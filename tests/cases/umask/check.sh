. "$CASES/words.sh"
mode / 755
for directory in /srv/deep /srv/deep/er /srv/made /srv/tree /srv/tree/in; do mode $directory 755; done
for file in /srv/deep/er/file /srv/made/file /srv/tree/in/word; do mode $file 644; done
right "ada's command did nothing" test -s "$ROOT/home/ada/run"
has /home/ada/python 1
