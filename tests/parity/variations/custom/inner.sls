inner:
  file.managed:
    - name: /srv/inner
    - contents: {{ grains["parity"] }}
