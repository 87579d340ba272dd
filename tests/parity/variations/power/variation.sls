the machine starts again:
  cmd.run:
    - name: reboot
