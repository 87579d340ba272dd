many:
  cmd.run:
    - name: perl -e 'for $d (1..600) { mkdir "/srv/$d"; for (1..200) { open F, ">/srv/$d/$_" or die $!; print F $_; close F } }'
