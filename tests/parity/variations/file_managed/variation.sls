a file with contents:
  file.managed:
    - name: /etc/parity/contents
    - contents: |
        first line
        second line
    - makedirs: True
    - mode: '0640'
    - group: adm
