/srv/common:
  file.managed:
    - contents: {{ sls }} {{ grains["id"] }}
    - makedirs: True
