parity:
  text: |
    a text
    of the pillar
