ada:
  user.present: []

{% for name, command in {
  "plain": "systemctl daemon-reload", "sudo": "sudo systemctl daemon-reload", "sudo-restart": "sudo systemctl restart ssh",
  "empty": "env -i /bin/systemctl daemon-reload", "now": "systemctl enable --now systemd-networkd-wait-online.service",
  "restart": "systemctl restart ssh.service", "try": "systemctl try-reload-or-restart ssh", "default": "systemctl set-default multi-user.target",
  "service": "service ssh restart", "invoke": "invoke-rc.d ssh reload", "preset": "systemctl preset systemd-timesyncd",
  "tmpfiles": "systemd-tmpfiles --create", "sysusers": "systemd-sysusers", "mask": "sudo systemctl mask --now apt-daily.timer"} | dictsort %}
{{ name }}:
  cmd.run:
    - name: "mkdir -p /srv/marks; { {{ command }}; } > /srv/marks/{{ name }}.said 2>&1; echo $? > /srv/marks/{{ name }}"
{% endfor %}

as a user:
  cmd.run:
    - name: systemctl daemon-reload; echo $? > /tmp/as-user
    - runas: ada
    - require: [{user: ada}]

kept from tmp:
  file.copy:
    - name: /srv/marks/as-user
    - source: /tmp/as-user
    - force: True
    - require: [{cmd: as a user}]
