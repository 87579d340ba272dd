website:
  name: from the pillar
  pages: {about: somebody}
