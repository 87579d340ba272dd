# seal -> kernel + ramdisk -> shrink -> triplet.  Add states of your own before they seal the root, or behind the triplet.

include:
  - ami_creator_seal

kernel and ramdisk are taken out:
  vm_image.extracted:
    - require:
      - sls: ami_creator_seal

the root image is packed:
  vm_image.packed:
    - require:
      - vm_image: kernel and ramdisk are taken out

the root is closed:
  vm_image.closed:
    - require:
      - vm_image: the root image is packed

the root image is shrunk and checked:
  vm_image.shrunk:
    - require:
      - vm_image: the root is closed

the triplet is complete:
  vm_image.delivered:
    - require:
      - vm_image: the root image is shrunk and checked
