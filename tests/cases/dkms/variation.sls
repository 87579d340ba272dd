{% set version = salt["file.find"]("/lib/modules", mindepth=1, maxdepth=1, type="d", print="name") | first %}
tools:
  pkg.installed:
    - sources: [{case-tools: salt://case-tools.deb}]

headers:
  file.directory:
    - name: /lib/modules/{{ version }}/build/include
    - makedirs: True

dkms:
  pkg.installed:
    - install_recommends: False
    - require: [{pkg: tools}, {file: headers}]

a module:
  pkg.installed:
    - sources: [{case-dkms: salt://case-dkms.deb}]
    - require: [{pkg: dkms}]
