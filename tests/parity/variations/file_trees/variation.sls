a tree:
  file.recurse:
    - name: /srv/tree
    - source: salt://tree
    - file_mode: '0640'
    - dir_mode: '0750'
    - group: adm
    - include_empty: True

modes as they are:
  file.recurse:
    - name: /srv/kept
    - source: salt://tree
    - file_mode: keep
    - exclude_pat: "*.skip"

rendered, some of it, and nothing else there:
  file.recurse:
    - name: /srv/cleaned
    - source: salt://tree
    - template: jinja
    - include_pat: "*.conf"
    - clean: True
    - require: [{file: what is cleaned away}]

what is cleaned away:
  file.managed:
    - name: /srv/cleaned/stray
    - contents: text
    - makedirs: True

a directory with all below:
  file.directory:
    - name: /srv/directory/below
    - user: games
    - group: games
    - dir_mode: '2775'
    - file_mode: '0664'
    - makedirs: True
    - recurse: [user, group, mode]

a directory that is cleaned:
  file.directory:
    - name: /srv/tree/b
    - clean: True
    - exclude_pat: "*.conf"
    - require: [{file: a tree}]

a link:
  file.symlink:
    - name: /srv/link
    - target: tree/a.conf

a link instead of a file:
  file.symlink:
    - name: /etc/motd
    - target: /srv/tree/a.conf
    - force: True

a second name:
  file.hardlink:
    - name: /srv/second-name
    - target: /srv/kept/a.conf
    - require: [{file: modes as they are}]

a copy:
  file.copy:
    - name: /srv/copied/etc-hosts
    - source: /etc/hosts
    - makedirs: True
    - preserve: True

a copied tree:
  file.copy:
    - name: /srv/copied-tree
    - source: /srv/kept
    - require: [{file: modes as they are}]

something to rename:
  file.managed:
    - name: /srv/old-name
    - contents: text

renamed:
  file.rename:
    - name: /srv/renamed/new-name
    - source: /srv/old-name
    - makedirs: True
    - require: [{file: something to rename}]

gone:
  file.absent:
    - names: [/etc/update-motd.d, /etc/legal, /srv/nothing, /etc/issue.net]

touched:
  file.touch:
    - name: /srv/touched/file
    - makedirs: True

there:
  file.exists:
    - name: /etc/hosts

not there:
  file.missing:
    - name: /srv/nothing

a pipe:
  file.mknod:
    - name: /srv/pipe
    - ntype: p
    - mode: '0620'
    - group: tty

empty below:
  cmd.run:
    - name: mkdir -p /srv/prune/empty

pruned:
  file.pruned:
    - name: /srv/prune
    - recurse: True
    - require: [{cmd: empty below}]

old and new:
  cmd.run:
    - name: mkdir -p /srv/tidy && touch -d 2001-01-01 /srv/tidy/old && echo text > /srv/tidy/new && touch -d 2090-01-01 /srv/tidy/new

tidied:
  file.tidied:
    - name: /srv/tidy
    - age: 10
    - matches: [".*"]
    - require: [{cmd: old and new}]

some of many are kept:
  cmd.run:
    - name: mkdir -p /srv/many && for n in 1 2 3 4; do touch -d 2001-01-0$n /srv/many/$n; done

retained:
  file.retention_schedule:
    - name: /srv/many
    - retain: {most_recent: 2}
    - require: [{cmd: some of many are kept}]

in the cache:
  file.cached:
    - name: salt://tree/a.conf

what is in the cache can be used:
  file.copy:
    - name: /srv/from-cache
    - source: {{ salt["cp.cache_file"]("salt://tree/a.conf") }}
    - require: [{file: in the cache}]

not in the cache any more:
  file.not_cached:
    - name: salt://tree/a.conf
    - require: [{file: what is in the cache can be used}]

acl is installed:
  pkg.installed:
    - pkgs: [acl]

games may read:
  acl.present:
    - name: /srv/kept/a.conf
    - acl_type: user
    - acl_name: games
    - perms: r
    - require: [{pkg: acl is installed}, {file: modes as they are}]

a capability:
  cmd.run:
    - name: cp /bin/true /usr/local/bin/capable && /sbin/setcap cap_net_raw+ep /usr/local/bin/capable || true

attributes:
  cmd.run:
    - name: python3 -c 'import os; os.setxattr("/srv/kept/a.conf", "user.colour", b"green")'
    - require: [{file: modes as they are}]
