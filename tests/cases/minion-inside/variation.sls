{% for path, text in {
  "minion.d/10-master.conf": "master: salt.example.org", "grains": "role: shop",
  "pki/minion/minion_master.pub": "key of the master", "pki/minion/master_sign.pub": "key that signs",
  "pki/minion/minion.pem": "key of a machine", "pki/minion/minion.pub": "its public half", "minion_id": "some-machine"} | dictsort %}
/etc/salt/{{ path }}:
  file.managed:
    - contents: {{ text | yaml_dquote }}
    - makedirs: True
{% endfor %}
