packages that bring daemons are installed:
  pkg.installed:
    - pkgs: [nginx-light, cron, dbus, chrony, rsyslog, at]
    - install_recommends: False

packages of the base are installed again:
  cmd.run:
    - name: apt-get install --yes --reinstall openssh-server dbus

what runs then:
  cmd.run:
    - name: systemctl is-active cron ssh dbus.socket rsyslog atd nginx > /srv/runs; systemctl is-enabled cron ssh rsyslog atd chrony nginx > /srv/enabled
    - require: [{pkg: packages that bring daemons are installed}]

jobs are handed to the daemon:
  at.present:
    - name: touch /srv/done-by-at
    - timespec: '9:09 11/09/2049'
    - tag: parity
    - require: [{pkg: packages that bring daemons are installed}]
