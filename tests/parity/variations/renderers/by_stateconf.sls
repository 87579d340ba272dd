#!stateconf yaml . jinja
.params:
  stateconf.set:
    - colour: green

# --- end of state config ---

.file:
  file.managed:
    - name: /srv/by-stateconf
    - contents: {{ params.colour }} {{ sls }}
    - makedirs: True
