units at all places:
  file.recurse:
    - name: /etc/systemd/system
    - source: salt://etc
  module.run:
    - service.systemctl_reload: []

units where a package has them:
  file.recurse:
    - name: /lib/systemd/system
    - source: salt://lib

{% for unit in ("parity.socket", "parity.timer", "parity.path", "parity.target", "srv-parity.mount", "parity-lib.service") %}
{{ unit }} is enabled and runs:
  service.running:
    - name: {{ unit }}
    - enable: True
    - require: [{file: units at all places}, {file: units where a package has them}, {module: units at all places}]
{% endfor %}

one that has no install section:
  service.running:
    - name: parity-static
    - require: [{file: units at all places}, {module: units at all places}]

one with an alias and also:
  service.enabled:
    - name: parity-alias
    - require: [{file: units at all places}]

by systemctl itself:
  cmd.run:
    - names:
      - systemctl enable --now parity-plain.service
      - systemctl mask parity-masked.service
      - systemctl set-default multi-user.target
      - systemctl add-wants multi-user.target parity-static.service
      - systemctl disable systemd-timesyncd.service
      - systemctl preset ssh.service
      - systemctl is-active parity-plain.service
      - systemctl restart parity-plain.service
      - systemctl reload-or-restart parity-plain.service
      - systemctl try-restart parity-plain.service
      - systemctl is-enabled parity-plain.service
      - systemctl daemon-reload
    - require: [{file: units at all places}, {file: units where a package has them}, {module: units at all places}]

a wanted link by hand:
  file.symlink:
    - name: /etc/systemd/system/multi-user.target.wants/parity-hand.service
    - target: /etc/systemd/system/parity-hand.service
    - makedirs: True

of a user:
  file.managed:
    - name: /etc/systemd/user/parity-user.service
    - source: salt://etc/parity-plain.service
    - makedirs: True

enabled for all users:
  cmd.run:
    - name: systemctl --global enable parity-user.service
    - require: [{file: of a user}]

a preset:
  file.managed:
    - name: /etc/systemd/system-preset/10-parity.preset
    - contents: "disable parity-plain.service"
    - makedirs: True

a script of old:
  file.managed:
    - name: /etc/init.d/parity-old
    - source: salt://parity-old
    - mode: '0755'

it is enabled and runs:
  cmd.run:
    - names: [systemctl daemon-reload, systemctl enable --now parity-old]
    - require: [{file: a script of old}]

what is said of them:
  cmd.run:
    - name: systemctl is-enabled parity.socket parity.timer parity-static parity-alias parity-plain > /srv/said; systemctl is-active parity.target parity.timer >> /srv/said
    - require: [{cmd: by systemctl itself}]
