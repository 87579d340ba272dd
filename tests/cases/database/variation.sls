store.service:
  file.managed:
    - name: /etc/systemd/system/store.service
    - contents: |
        [Service]
        ExecStart=/usr/bin/python3 -m http.server --bind 127.0.0.1 9417
        [Install]
        WantedBy=multi-user.target
  service.running:
    - name: store
    - enable: True

a user in the store:
  cmd.run:
    - name: "exec 3<>/dev/tcp/127.0.0.1/9417 && echo user >&3"
    - shell: /bin/bash
    - require: [{service: store.service}]
