. "$CASES/words.sh"
for name in after-both second-try checked module beforehand target any listened last first watching; do there /srv/$name; done
has /srv/words 'of extend'
has /srv/slot text
mode /srv/second 700
gone /srv/onfail
has /srv/python 'case-requisites case-requisites'
has /srv/objects/inner Debian
