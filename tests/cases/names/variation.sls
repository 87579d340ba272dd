/srv/tree:
  file.recurse:
    - source: salt://tree
    - include_empty: True
    - file_mode: keep

odd names:
  cmd.run:
    - name: |
        cd /srv && touch "$(printf 'caf\351')" "$(printf 'a\nb')" && mkdir "$(printf 'dir-\377')"
        mkdir /var/log/odd && echo secret > "/var/log/odd/$(printf 'log\351')"

/etc/motd:
  file.managed: [{contents: "žluťoučký kůň – 猫"}]
