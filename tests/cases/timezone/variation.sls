Asia/Tokyo:
  timezone.system: [{utc: True}]
