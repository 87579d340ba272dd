it fails:
  cmd.run:
    - name: echo why it failed >&2; exit 7

on its failure:
  cmd.run:
    - name: touch /srv/on-failure
    - onfail: [{cmd: it fails}]

behind it:
  test.nop:
    - require: [{cmd: it fails}]
