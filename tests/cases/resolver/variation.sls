{% set host = "host=$(grep -rhoE '[a-z]+://[^/ :]+' /etc/apt/sources.list /etc/apt/sources.list.d | head -n 1 | sed 's|.*//||')" %}

a resolv.conf with no servers:
  cmd.run: [{name: "rm /etc/resolv.conf; echo '# nobody yet' > /etc/resolv.conf"}]

names are found by default:
  cmd.run: [{name: '{{ host | replace("'", "''") }}; getent ahosts "$host" > /srv/default'}]

its own resolver:
  file.managed:
    - name: /etc/resolv.conf
    - contents: nameserver 127.0.0.53

names are found there:
  cmd.run: [{name: '{{ host | replace("'", "''") }}; getent ahosts "$host" > /srv/stub'}]
