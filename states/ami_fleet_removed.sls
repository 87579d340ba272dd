# A master has no fleet any more: undoes what ami_fleet wrote; restart the master afterwards. Hooks of repositories, images, and what the
# fleet remembers in Salt's cache stay.
{% set directory = salt["pillar.get"]("ami_fleet_master:directory", "/etc/salt") %}

the master knows no fleet:
  file.absent:
    - names:
      - {{ directory }}/master.d/vm_fleet.conf
      - {{ directory }}/vm_fleet
