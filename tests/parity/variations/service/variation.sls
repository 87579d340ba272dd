cron is installed:
  pkg.installed:
    - pkgs: [cron]

of a package, running and enabled:
  service.running:
    - name: cron
    - enable: True
    - require: [{pkg: cron is installed}]

units of our own:
  file.managed:
    - names:
      - /etc/systemd/system/parity-a.service: [{source: "salt://units/oneshot.service"}]
      - /etc/systemd/system/parity-b.service: [{source: "salt://units/oneshot.service"}]
      - /etc/systemd/system/parity-c.service: [{source: "salt://units/oneshot.service"}]
      - /etc/systemd/system/parity-d.service: [{source: "salt://units/oneshot.service"}]
      - /etc/systemd/system/parity-instance@.service: [{source: "salt://units/instance.service"}]

systemd looks at them:
  module.run:
    - service.systemctl_reload: []
    - onchanges: [{file: units of our own}]

running and enabled:
  service.running:
    - name: parity-a
    - enable: True
    - watch: [{file: units of our own}]

running alone:
  service.running:
    - name: parity-b
    - require: [{file: units of our own}]

enabled alone:
  service.enabled:
    - name: parity-c.service
    - require: [{file: units of our own}]

running and disabled:
  service.running:
    - name: parity-d
    - enable: False
    - require: [{file: units of our own}]

dead and disabled:
  service.dead:
    - name: systemd-timesyncd
    - enable: False

dead alone:
  service.dead:
    - name: parity-nowhere

disabled:
  service.disabled:
    - name: ssh-host-keys

masked:
  service.masked:
    - name: apt-daily.timer

unmasked again:
  service.unmasked:
    - name: apt-daily.timer
    - require: [{service: masked}]

masked for good:
  service.masked:
    - name: e2scrub_reap

masked until the next boot:
  service.masked:
    - name: fstrim.timer
    - runtime: True

an instance of a template:
  service.running:
    - name: parity-instance@one
    - enable: True
    - require: [{file: units of our own}]

another instance:
  service.enabled:
    - name: parity-instance@two.service
    - require: [{file: units of our own}]

by its alias:
  service.running:
    - name: sshd
    - enable: True

a drop-in, and the service restarts:
  file.managed:
    - name: /etc/systemd/system/cron.service.d/10-parity.conf
    - contents: |
        [Service]
        Environment=PARITY=yes
    - makedirs: True
    - watch_in: [{service: "of a package, running and enabled"}]

a timer that a package enables:
  service.running:
    - name: fstrim-nowhere.timer
    - onlyif: "false"

is it running:
  file.managed:
    - name: /srv/said
    - contents: |
        {{ salt["service.available"]("ssh") }} {{ salt["service.available"]("parity-nowhere") }} {{ salt["service.enabled"]("ssh") }}
        {{ salt["service.status"]("ssh") }} {{ salt["service.missing"]("parity-nowhere") }} {{ salt["service.disabled"]("ssh") }}
        {{ salt["service.masked"]("ssh") }} {{ salt["cmd.retcode"]("systemctl is-active systemd-journald") }}
