. "$CASES/words.sh"
for name in default empty invoke mask now plain preset restart service sudo sudo-restart sysusers tmpfiles try; do
    right "$name: $(cat "$ROOT/srv/marks/$name") $(head -c 200 "$ROOT/srv/marks/$name.said")" test "$(cat "$ROOT/srv/marks/$name")" = 0
done
there /srv/marks/as-user
link /etc/systemd/system/apt-daily.timer /dev/null
link /etc/systemd/system/default.target /lib/systemd/system/multi-user.target
right "enable --now enabled nothing" test -L "$ROOT/etc/systemd/system/network-online.target.wants/systemd-networkd-wait-online.service"
