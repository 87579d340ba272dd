copier:
  pkg.installed:
    - sources: [{case-copier: salt://case-copier.deb}]
