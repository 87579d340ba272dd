ada:
  user.present: []

loginctl enable-linger ada:
  cmd.run:
    - require: [{user: ada}]
