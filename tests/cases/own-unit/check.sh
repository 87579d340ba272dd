. "$CASES/words.sh"
right "shop is not enabled" test -L "$ROOT/etc/systemd/system/multi-user.target.wants/shop.service"
has /srv/asked asked
there /etc/systemd/system/shop.service.d/limit.conf
right "ssh is enabled still" not test -L "$ROOT/etc/systemd/system/multi-user.target.wants/ssh.service"
