/srv/grain:
  file.managed:
    - contents: {{ grains["kernelrelease"] }}
{% for name, command in {"name": "uname -r", "path": "/bin/uname -r", "all": "uname -a", "script": "sh -c 'env PATH=/usr/local/bin:/usr/bin:/bin uname --kernel-release'", "machine": "uname -m"}.items() %}
{{ name }}:
  cmd.run:
    - name: {{ command }} > /srv/{{ name }}
{% endfor %}
/srv/by-module:
  file.managed:
    - contents: {{ salt["cmd.run"]("uname -r") }}
the ramdisk of the kernel that runs:
  cmd.run:
    - name: update-initramfs -u -k $(uname -r)
