/srv/debian:
  file.managed:
    - contents: {{ sls }} {{ grains["id"] }}
    - makedirs: True
