packages that draw something:
  pkg.installed:
    - pkgs: [ssl-cert, open-iscsi, nvme-cli, bind9, dropbear-bin, dropbear, munge, etckeeper, git, popularity-contest]
    - install_recommends: False

{% for path in ('/etc/munge/munge.key', '/etc/dropbear/dropbear_rsa_host_key') %}
{{ path }}:
  file.managed:
    - contents: a key that the variation brings
    - require: [{pkg: packages that draw something}]
{% endfor %}

# as the packages do, which bring the whole of Erlang
the cookies of RabbitMQ and ejabberd:
  cmd.run:
    - name: for name in rabbitmq ejabberd; do mkdir -p /var/lib/$name && echo drawn > /var/lib/$name/.erlang.cookie; done

/var/lib/couchdb/.erlang.cookie:
  file.managed:
    - contents: a key that the variation brings
    - makedirs: True
