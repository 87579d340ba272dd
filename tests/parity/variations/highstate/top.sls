base:
  '*':
    - common
  'G@os:Debian':
    - match: compound
    - debian
  'highstate':
    - own
  'nobody*':
    - never
