run:
  cmd.run:
    - name: echo "$COLOUR $PWD" > run
    - cwd: /srv
    - env: [COLOUR: green]
    - shell: /bin/bash

as another:
  cmd.run:
    - name: id -un > /tmp/who; umask >> /tmp/who; echo $HOME $USER $SHELL >> /tmp/who
    - runas: games
    - umask: '027'

what another said:
  cmd.run:
    - name: cp /tmp/who /srv/who
    - require: [{cmd: as another}]

with input:
  cmd.run:
    - name: cat > /srv/input
    - stdin: "from stdin\n"

a script:
  cmd.script:
    - source: salt://script.sh
    - args: one two
    - template: jinja
    - context: {word: rendered}

a script by its name:
  cmd.script:
    - name: salt://script.sh
    - args: three
    - template: jinja
    - defaults: {word: default}
    - cwd: /srv
    - creates: /srv/script-three

not where it is there:
  cmd.run:
    - name: touch /srv/created-twice
    - creates: [/etc/hosts, /etc/passwd]

unless and onlyif:
  cmd.run:
    - name: touch /srv/unless-{{ 1 }}
    - unless: ["test -e /srv/nothing"]
    - onlyif: ["test -e /etc/hosts", "true"]

unless by a function:
  cmd.run:
    - name: touch /srv/never
    - unless: [{fun: file.file_exists, path: /etc/hosts}]

checked:
  cmd.run:
    - name: echo checked > /srv/checked
    - check_cmd: ["grep -q checked /srv/checked"]

stateful:
  cmd.run:
    - name: 'echo; echo "changed=no comment=''nothing to do''"'
    - stateful: True

hidden and silent:
  cmd.run:
    - name: echo secret > /srv/hidden
    - hide_output: True
    - output_loglevel: quiet

another exit code is good:
  cmd.run:
    - name: exit 3
    - success_retcodes: [3]

in the background:
  cmd.run:
    - name: sleep 0.1; echo background > /srv/background
    - bg: True

it ends:
  cmd.run:
    - name: for n in $(seq 100); do test -s /srv/background && exit 0; sleep 0.1; done; exit 1
    - require: [{cmd: in the background}]

with a login's environment:
  cmd.run:
    - name: printf '%s\n' "$PATH" "$LANG" "$HOME" "$USER" "$SHELL" "$TERM" > /srv/environment; umask >> /srv/environment

environment set:
  environ.setenv:
    - name: PARITY
    - value: "set"

it is seen:
  cmd.run:
    - name: echo "$PARITY" > /srv/seen
    - require: [{environ: environment set}]

tried again:
  cmd.run:
    - name: test -e /srv/again || { touch /srv/again; exit 1; }
    - retry: {attempts: 3, interval: 1}

waits for nothing:
  cmd.wait:
    - name: touch /srv/waited-never
    - watch: [{cmd: not where it is there}]

waits:
  cmd.wait:
    - name: touch /srv/waited
    - watch: [{cmd: run}]

a script waits:
  cmd.wait_script:
    - source: salt://script.sh
    - args: waited
    - template: jinja
    - context: {word: waited}
    - watch: [{cmd: run}]

what programs expect of a machine:
  cmd.run:
    - names:
      - test -d /proc/1 && test -w /dev/null && test -d /dev/shm
      - python3 -c 'import multiprocessing; multiprocessing.Lock()'
      - mountpoint -q /proc
      - logger parity
      - test -d /sys/class
      - test "$(stat -c %a /tmp)" = 1777
      - systemctl is-system-running || test "$(systemctl is-system-running)" = degraded
      - ps -e -o comm= | grep -q .
      - getent hosts localhost
      - journalctl --flush
      - systemd-tmpfiles --create
      - systemd-sysusers
      - ldconfig
