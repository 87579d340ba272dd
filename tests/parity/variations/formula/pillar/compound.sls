website:
  owner: www-data
