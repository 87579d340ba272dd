ada:
  user.present: []

as ada:
  cmd.run:
    - name: cat /etc/resolv.conf > /home/ada/names && ls /run > /home/ada/run && python3 -c 'print(1)' > /home/ada/python
    - runas: ada
    - require: [{user: ada}]

/srv/deep/er/file:
  file.managed: [{contents: x}, {makedirs: True}]

mkdir /srv/made && touch /srv/made/file:
  cmd.run: []

/srv/tree:
  file.recurse: [{source: "salt://tree"}]
