packages are there:
  pkg.installed:
    - pkgs: [locales, keyboard-configuration, console-setup]

the time zone:
  timezone.system:
    - name: Europe/Vienna

a locale:
  locale.present:
    - name: de_AT.UTF-8
    - require: [{pkg: packages are there}]

the locale:
  locale.system:
    - name: de_AT.UTF-8
    - require: [{locale: a locale}]

the keyboard:
  keyboard.system:
    - name: de
    - require: [{pkg: packages are there}]

the keyboard of X:
  cmd.run:
    - name: localectl set-x11-keymap at pc105 nodeadkeys
    - require: [{keyboard: the keyboard}]

hosts:
  host.present:
    - ip: 192.0.2.7
    - names: [db, db.example.com]

only these:
  host.only:
    - name: 192.0.2.8
    - hostnames: [one, two]

no host:
  host.absent:
    - ip: 192.0.2.9
    - name: nobody
