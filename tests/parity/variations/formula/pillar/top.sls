base:
  '*': [website]
  'formula': [own]
  'G@os:Debian and formula': {{ "[]" if false else "[compound]" }}
