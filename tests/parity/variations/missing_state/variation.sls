a tool:
  alternatives.install:
    - name: tool
    - link: /usr/bin/tool
    - path: /bin/true
    - priority: 1
