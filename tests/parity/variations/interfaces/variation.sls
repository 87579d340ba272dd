ifupdown is there:
  pkg.installed:
    - pkgs: [ifupdown]

the system's network:
  network.system:
    - enabled: True
    - hostname: parity.example.com
    - nozeroconf: True
    - require: [{pkg: ifupdown is there}]

an interface:
  network.managed:
    - name: parity0
    - enabled: False
    - type: eth
    - proto: static
    - ipaddr: 192.0.2.10
    - netmask: 255.255.255.0
    - noifupdown: True
    - require: [{network: the system's network}]
