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
