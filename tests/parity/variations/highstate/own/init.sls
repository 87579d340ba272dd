/srv/own:
  file.managed:
    - contents: {{ sls }} {{ grains["id"] }}
    - makedirs: True
