many:
  cmd.run:
    - name: for d in $(seq 200); do mkdir /srv/$d && seq 200 | split -l 1 -a 3 - /srv/$d/ || exit 1; done
