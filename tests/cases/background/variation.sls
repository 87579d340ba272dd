/srv/of-user:
  file.managed: [{contents: begun}, {user: nobody}, {makedirs: true}]
by a user:
  cmd.run:
    - name: sleep 2; echo done > /srv/of-user
    - runas: nobody
    - bg: True
    - require: [{file: /srv/of-user}]
slow:
  cmd.run:
    - name: sleep 3; echo done > /srv/slow
    - bg: True
