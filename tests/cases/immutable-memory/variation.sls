names:
  cmd.run:
    - name: rm -f /etc/resolv.conf && echo 'nameserver 192.0.2.1' > /etc/resolv.conf && chattr +i /etc/resolv.conf

log:
  cmd.run:
    - name: mkdir /srv/kept && echo first > /srv/kept/log && chattr +a /srv/kept/log && chattr +i /srv/kept

of the base:
  cmd.run:
    - name: chattr +i /etc/services && chattr -R +d /etc/cron.daily && telinit q && echo done | systemd-cat -t case
