system:
  network.system:
    - enabled: True
    - hostname: shop.example.org
    - apply_hostname: True
    - retain_settings: True

hostname before:
  cmd.run:
    - name: hostname transient && test "$(hostname)" = transient
    - unless: hostname | grep "^transient$"

/etc/hostname:
  file.managed:
    - contents: shop
    - require: [{network: system}]

shop.example.org:
  host.present:
    - ip: 127.0.1.1
    - names: [shop.example.org, shop]
