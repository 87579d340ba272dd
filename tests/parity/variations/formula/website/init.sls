# -*- coding: utf-8 -*-
include:
  - .package
  - .config
  - website.service
