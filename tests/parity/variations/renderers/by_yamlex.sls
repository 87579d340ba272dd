#!yamlex
by yamlex: !aggregate
  file.managed:
    - name: /srv/by-yamlex
    - contents: yamlex
    - makedirs: True
