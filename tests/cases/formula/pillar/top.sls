base:
  "case-*":
    - app
