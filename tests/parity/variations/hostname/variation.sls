the host name:
  cmd.run:
    - name: hostnamectl set-hostname parity.example.com
    - unless: test "$(hostnamectl hostname)" = parity.example.com

pretty:
  cmd.run:
    - name: hostnamectl set-hostname --pretty "The Parity Machine"
    - require: [{cmd: the host name}]

chassis:
  cmd.run:
    - name: hostnamectl chassis vm && hostnamectl set-location "here, there"
    - require: [{cmd: pretty}]

by the module:
  module.run:
    - network.mod_hostname: [{hostname: other.example.com}]
    - require: [{cmd: chassis}]

zone and clock:
  cmd.run:
    - name: timedatectl set-timezone America/New_York && timedatectl show -p Timezone --value > /srv/zone

what it is called:
  cmd.run:
    - name: (cat /etc/hostname; hostnamectl --static; hostnamectl --pretty; hostname) > /srv/names
    - require: [{module: by the module}]

linger:
  cmd.run:
    - name: loginctl enable-linger games

the clock:
  cmd.run:
    - names: [timedatectl set-ntp false, timedatectl set-local-rtc 1]
