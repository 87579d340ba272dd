. "$CASES/words.sh"
has /etc/resolv.conf 'nameserver 192.0.2.1'
has /srv/kept/log first
