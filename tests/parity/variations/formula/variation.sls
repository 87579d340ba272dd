include:
  - website
