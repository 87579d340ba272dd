/srv/subtype:
  file.managed: [{contents: "{{ grains.get('virtual_subtype', 'none') }}"}]
