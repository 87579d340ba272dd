the server is there:
  pkg.installed:
    - pkgs: [apache2]
    - install_recommends: False

a site:
  file.managed:
    - name: /etc/apache2/sites-available/parity.conf
    - contents: |
        <VirtualHost *:80>
          DocumentRoot /srv/www
        </VirtualHost>
    - require: [{pkg: the server is there}]

sites and modules:
  cmd.run:
    - names: [a2enmod rewrite, a2dismod status, a2ensite parity, a2dissite 000-default, a2disconf serve-cgi-bin, a2enconf security]
    - require: [{file: a site}]

it runs:
  service.running:
    - name: apache2
    - enable: True
    - reload: True
    - watch: [{file: a site}, {cmd: sites and modules}]

its configuration is good:
  cmd.run:
    - name: apachectl configtest
    - require: [{service: it runs}]

by its init script and by service:
  cmd.run:
    - names: [service apache2 restart, /etc/init.d/apache2 reload, apachectl graceful, invoke-rc.d apache2 reload]
    - require: [{service: it runs}]
