staff:
  group.present: [{gid: 1987654321}]

grace:
  user.present:
    - uid: 1987654321
    - gid: staff
    - groups: [staff, adm]
    - optional_groups: [nowhere]
    - password: $6$word$Hkt
    - require: [{group: staff}]

holes:
  cmd.run:
    - name: truncate -s 200G /srv/disk && truncate -s 540G /var/log/lastlog && echo end >> /srv/disk
    - require: [{user: grace}]
