french:
  locale.present: [{name: fr_FR.UTF-8}]

spoken:
  locale.system:
    - name: fr_FR.UTF-8
    - require: [{locale: french}]

answers:
  cmd.run:
    - name: echo 'case-asks case-asks/layout string fr' | debconf-set-selections

asks:
  pkg.installed:
    - sources: [{case-asks: salt://case-asks.deb}]
    - require: [{cmd: answers}]
