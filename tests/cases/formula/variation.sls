include:
  - app.install
