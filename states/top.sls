# What a minion that builds images is made of: salt-call state.apply
base:
  '*':
    - ami_creator
