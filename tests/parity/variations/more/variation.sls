a grain:
  grains.present:
    - name: parity
    - value: present

grains that are lists:
  grains.list_present:
    - name: colours
    - value: [green, blue]
    - require: [{grains: a grain}]

one less:
  grains.list_absent:
    - name: colours
    - value: blue
    - require: [{grains: grains that are lists}]

more of them:
  grains.append:
    - name: colours
    - value: red
    - require: [{grains: one less}]

no grain:
  grains.absent:
    - name: nothing

it is known:
  cmd.run:
    - name: salt-call --local --out json grains.get colours > /srv/colours
    - require: [{grains: more of them}]

modules are synced:
  saltutil.sync_modules: []

states are synced:
  saltutil.sync_states: []

all is synced:
  saltutil.sync_all:
    - refresh: True

a note:
  highstate_doc.note:
    - contents: said of it

watched:
  test.mod_watch: []

fail not:
  test.succeed_with_changes:
    - watch: [{test: watched}]

the disk is not full:
  disk.status:
    - name: /
    - maximum: 100%

the file that cmd reads:
  cmd.run:
    - name: cp /etc/os-release /srv/os-release
    - creates: /srv/os-release

environment for all:
  environ.setenv:
    - name: several
    - value: {PARITY_A: a, PARITY_B: b}

seen by one:
  cmd.run:
    - name: echo $PARITY_A $PARITY_B > /srv/several
    - require: [{environ: environment for all}]

an sls:
  module.run:
    - slsutil.renderer: [{string: "a: 1"}]

a job at some time is not there:
  file.missing:
    - name: /var/spool/cron/atjobs/nothing

a path of the system:
  file.managed:
    - name: /etc/profile.d/parity.sh
    - contents: export PARITY=yes
