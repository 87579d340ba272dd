#!yaml
by yaml:
  file.managed:
    - name: /srv/by-yaml
    - contents: "{{ not rendered }}"
    - makedirs: True
