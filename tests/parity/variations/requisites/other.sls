of the other:
  file.managed:
    - name: /srv/other
    - contents: not extended

not wanted:
  file.managed:
    - name: /srv/not-wanted
    - contents: text
