# What a machine needs to build images; applied to an existing minion, programs and directories and nothing else.
# A builder, which builds by itself at boot, it becomes inside the root of an image, that is as a variation:
#   ami: {name: ami-creation, variation: {states: [ami_creator], id: ami-creation}}
# or where the pillar says so:  salt-call --local state.apply ami_creator pillar='{ami_creator: {builder: true}}'
# state.apply ami_creator_removed undoes that.
{% set wanted = salt["pillar.get"]("ami_creator", {}) %}

{% for key in wanted if key not in ["builder", "salt", "wheels", "extras", "pip", "master", "bases", "packages"] %}
{{ raise("the pillar ami_creator has an unknown key " ~ key) }}
{% endfor %}

include:
  - ami_creator_tools
{% if wanted.get("builder", grains.get("vm_create_inside", False)) %}
  - ami_creator_builder
{% endif %}
