nginx:
  pkg.installed: []
  service.running:
    - enable: True
    - watch: [{file: /etc/nginx/conf.d/own.conf}]

/etc/nginx/conf.d/own.conf:
  file.managed:
    - contents: "server { listen 8080; location / { proxy_pass http://backend.invalid; } }"
    - require: [{pkg: nginx}]

other addresses:
  file.managed:
    - name: /etc/nginx/conf.d/address.conf
    - contents: "server { listen 192.0.2.7:8081; }"
    - require: [{pkg: nginx}]
    - watch_in: [{service: nginx}]
