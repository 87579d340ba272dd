{% macro unit(path, text) %}
{{ path }}:
  file.managed:
    - makedirs: True
    - contents: |
        {{ text | indent(8) }}
{% endmacro %}
{% set program = "[Service]\nExecStart=/bin/sleep infinity\n" %}
{% set wanted = "[Install]\nWantedBy=multi-user.target" %}
{{ unit("/usr/local/lib/systemd/system/local.service", program ~ wanted) }}
{{ unit("/etc/systemd/system/pool@.service", program ~ wanted) }}
{{ unit("/etc/systemd/system/dash\\x2dname.service", program ~ wanted) }}
{{ unit("/etc/systemd/system/srv-far.mount", "[Mount]\nWhat=tmpfs\nWhere=/srv/far\nType=tmpfs") }}
{{ unit("/etc/systemd/system/srv-far.automount", "[Automount]\nWhere=/srv/far\n" ~ wanted) }}
{{ unit("/etc/systemd/system/small.slice", "[Slice]\nMemoryMax=1G\n[Install]\nWantedBy=slices.target") }}
{{ unit("/usr/local/lib/systemd/system/noon.timer", "[Timer]\nOnCalendar=12:00\nUnit=local.service\n[Install]\nWantedBy=timers.target") }}
{{ unit("/etc/init.d/rusty", "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: rusty\n# Required-Start: $local_fs\n# Required-Stop:\n# Default-Start: 2 3 5\n# Default-Stop: 0 6\n# Short-Description: rusty\n### END INIT INFO\nexit 0") }}
    - mode: '0755'

{% for name in ["local", "pool@one", "dash\\x2dname", "noon.timer", "rusty", "sshd"] %}
{{ name | yaml_squote }}:
  service.running:
    - enable: True
    - order: last
{% endfor %}

{% for name in ["srv-far.automount", "small.slice"] %}
{{ name }}:
  service.enabled: [{order: last}]
{% endfor %}

apt-daily.timer:
  service.masked: []

systemd-timesyncd:
  service.disabled: []
