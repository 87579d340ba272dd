ssh is there:
  pkg.installed:
    - pkgs: [openssh-client]

a group:
  group.present:
    - name: editors
    - gid: 4000

a system group:
  group.present:
    - name: daemons
    - system: True

a user:
  user.present:
    - name: anna
    - uid: 4001
    - gid: 4000
    - groups: [adm, daemons]
    - fullname: Anna Example
    - shell: /bin/bash
    - home: /home/anna
    - password: "$6$parity$yBXQy4vKfQ0i8Y7Bv1pX7U4M4V4B0Yv3l8Wl6m0sN2n2tqg2rFvTqk9pI2gk0o0m7cJm8Q0c2B1rA2JqVqk0/1"
    - require: [{group: a group}, {group: a system group}]

a system user without a home:
  user.present:
    - name: runner
    - system: True
    - createhome: False
    - home: /srv/runner
    - shell: /usr/sbin/nologin
    - usergroup: True

a user with aging:
  user.present:
    - name: bert
    - mindays: 1
    - maxdays: 90
    - warndays: 7
    - expire: 20000
    - optional_groups: [nowhere, adm]
    - require: [{user: a user}]

changed later:
  user.present:
    - name: bert
    - shell: /bin/dash
    - groups: [games]
    - remove_groups: False
    - require: [{user: a user with aging}]

one that goes:
  user.present:
    - name: carl

it goes:
  user.absent:
    - name: carl
    - purge: True
    - force: True
    - require: [{user: one that goes}]

a group that goes:
  group.absent:
    - name: voice

members of a group:
  group.present:
    - name: editors
    - addusers: [games, bert]
    - require: [{user: changed later}]

keys:
  ssh_auth.present:
    - user: anna
    - enc: ssh-ed25519
    - comment: of anna
    - options: ['from="192.0.2.0/24"']
    - names:
      - AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
      - AAAAC3NzaC1lZDI1NTE5AAAAIB8eHRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgEA
    - require: [{user: a user}, {pkg: ssh is there}]

a key goes:
  ssh_auth.absent:
    - user: anna
    - name: AAAAC3NzaC1lZDI1NTE5AAAAIB8eHRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgEA
    - require: [{ssh_auth: keys}]

all keys of another:
  ssh_auth.manage:
    - user: bert
    - enc: ssh-ed25519
    - ssh_keys:
      - AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
    - require: [{user: changed later}, {pkg: ssh is there}]

a known host:
  ssh_known_hosts.present:
    - name: git.example.com
    - user: anna
    - enc: ssh-ed25519
    - key: AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
    - hash_known_hosts: False
    - require: [{user: a user}, {pkg: ssh is there}]

an unknown host:
  ssh_known_hosts.absent:
    - name: bad.example.com
    - user: anna
    - require: [{ssh_known_hosts: a known host}]

sudo:
  file.managed:
    - name: /etc/sudoers.d/10-anna
    - contents: anna ALL=(ALL) NOPASSWD:ALL
    - mode: '0440'
    - check_cmd: visudo -cf

sudo works:
  cmd.run:
    - name: sudo -n -u bert id -un > /home/anna/sudo-said
    - runas: anna
    - require: [{file: sudo}, {user: a user}, {user: changed later}]

a home with a setting:
  file.append:
    - name: /home/anna/.bashrc
    - text: export COLOUR=green
    - require: [{user: a user}]

su works:
  cmd.run:
    - name: su - anna -c 'echo $HOME; umask; id -Gn' > /srv/su-said
    - require: [{user: a user}]
