as scripts of others find out whether systemd runs:
  cmd.run:
    - names:
      - test -d /run/systemd/system
      - test "$(cat /proc/1/comm)" = systemd
      - test "$(ps -p 1 -o comm=)" = systemd
      - systemctl is-active --quiet systemd-journald
      - systemctl is-active --quiet dbus.service
      - systemctl is-active --quiet multi-user.target
      - systemctl is-active --quiet network.target
      - systemctl --quiet is-enabled ssh
      - systemctl show -p ActiveState --value ssh | grep -qx active
      - systemctl list-units --no-legend --type=service | grep -q ssh.service
      - systemctl status ssh --no-pager
      - systemctl list-timers --no-legend | grep -q .
      - systemctl cat ssh.service
      - systemd-detect-virt || true

a program is run by systemd:
  cmd.run:
    - name: systemd-run --wait --quiet --collect /usr/bin/touch /srv/run-by-systemd
