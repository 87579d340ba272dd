# base -> root.  Add states of your own before, between or after: they run on the builder.
# {{ salt["vm_create.setting"]("root") }} is where the root is open afterwards.

the base is fetched and verified:
  vm_image.fetched: []

the root is open:
  vm_image.opened:
    - require:
      - vm_image: the base is fetched and verified
