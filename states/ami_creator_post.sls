# seal -> kernel + ramdisk -> shrink -> triplet.
# The states below are the last ones: a state of your own runs before them, on the open root.
# What shall run behind the triplet says "order: last" and requires "the triplet is complete".

include:
  - ami_creator_seal

what a builder brings along is there:
  vm_image.baked:
    - order: last
    - require:
      - sls: ami_creator_seal

kernel and ramdisk are taken out:
  vm_image.extracted:
    - order: last
    - require:
      - vm_image: what a builder brings along is there

the root image is packed:
  vm_image.packed:
    - order: last
    - require:
      - vm_image: kernel and ramdisk are taken out

the root is closed:
  vm_image.closed:
    - order: last
    - require:
      - vm_image: the root image is packed

the root image is shrunk and checked:
  vm_image.shrunk:
    - order: last
    - require:
      - vm_image: the root is closed

the triplet is complete:
  vm_image.delivered:
    - order: last
    - require:
      - vm_image: the root image is shrunk and checked
