every boot:
  file.managed:
    - name: /var/lib/cloud/scripts/per-boot/50-mark
    - contents: "#!/bin/sh\ntouch /run/booted"
    - mode: '0755'
    - makedirs: True

{% for name, text in {"meta-data": "instance-id: stick", "user-data": "#cloud-config\ntimezone: UTC"}.items() %}
seed {{ name }}:
  file.managed:
    - name: /var/lib/cloud/seed/nocloud-net/{{ name }}
    - contents: {{ text | yaml_dquote }}
    - makedirs: True
{% endfor %}

an instance was here:
  cmd.run:
    - name: mkdir -p /var/lib/cloud/instances/i-1 /var/lib/cloud/data && ln -s /var/lib/cloud/instances/i-1 /var/lib/cloud/instance && echo i-1 > /var/lib/cloud/data/instance-id
