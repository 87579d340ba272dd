of networkd:
  file.managed:
    - name: /etc/systemd/network/10-parity.network
    - contents: |
        [Match]
        Name=parity*
        [Network]
        Address=192.0.2.10/24

networkd looks at it:
  service.running:
    - name: systemd-networkd
    - enable: True
    - watch: [{file: of networkd}]

reloaded by hand:
  cmd.run:
    - name: networkctl reload
    - require: [{service: networkd looks at it}]

name servers:
  file.managed:
    - name: /etc/systemd/resolved.conf.d/10-parity.conf
    - contents: |
        [Resolve]
        FallbackDNS=192.0.2.53
    - makedirs: True

resolved:
  service.running:
    - name: systemd-resolved
    - watch: [{file: name servers}]

the rules of a firewall:
  pkg.installed:
    - pkgs: [nftables]

they are in a file:
  file.managed:
    - name: /etc/nftables.conf
    - contents: |
        #!/usr/sbin/nft -f
        table inet parity { chain input { type filter hook input priority 0; } }
    - mode: '0755'
    - require: [{pkg: the rules of a firewall}]

at boot:
  service.enabled:
    - name: nftables
    - require: [{file: they are in a file}]
