/srv/never:
  file.managed:
    - contents: {{ sls }} {{ grains["id"] }}
    - makedirs: True
