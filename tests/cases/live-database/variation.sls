the database:
  pkg.installed: [{pkgs: [postgresql]}, {install_recommends: False}]

few connections:
  cmd.run:
    - name: |
        systemctl is-active postgresql > /srv/begun
        printf 'max_connections = 42\n' > $(ls -d /etc/postgresql/*/main)/conf.d/few.conf
    - require: [{pkg: the database}]

it runs:
  service.running:
    - name: postgresql
    - enable: True
    - watch: [{cmd: few connections}]

app:
  postgres_user.present: [{password: secret}, {require: [{service: it runs}]}]

shop:
  postgres_database.present: [{owner: app}, {require: [{postgres_user: app}]}]

what the server says:
  cmd.run:
    - name: |
        psql -Atc 'show max_connections' > /tmp/said
        psql -Atc "select datname || ' of ' || rolname from pg_database join pg_roles on datdba = pg_roles.oid where datname = 'shop'" >> /tmp/said
    - runas: postgres
    - require: [{postgres_database: shop}]
/srv/said:
  file.managed: [{source: /tmp/said}, {require: [{cmd: what the server says}]}]
