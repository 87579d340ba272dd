base:
  '*': [plain]
  shops:
    - match: nodegroup
    - shop
