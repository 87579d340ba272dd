base:
  "*": [all]
  "virtual:kvm": [{match: grain}, guest]
  "virtual:physical": [{match: grain}, host]
