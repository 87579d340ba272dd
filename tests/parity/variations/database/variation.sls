the database is there:
  pkg.installed:
    - pkgs: [postgresql-15]
    - install_recommends: False

it runs:
  service.running:
    - name: postgresql
    - require: [{pkg: the database is there}]

a user of it:
  postgres_user.present:
    - name: anna
    - require: [{service: it runs}]
