packages that bring daemons are installed:
  pkg.installed:
    - pkgs: [nginx-light, cron, dbus, chrony, rsyslog, at]
    - install_recommends: False

one of the base is installed again:
  cmd.run:
    - name: apt-get install --yes --reinstall openssh-server

jobs are handed to the daemon:
  at.present:
    - name: touch /srv/done-by-at
    - timespec: '9:09 11/09/2049'
    - tag: parity
    - require: [{pkg: packages that bring daemons are installed}]
