# The sample: a web host.  A variation is nothing but Salt states; replace this file by your own.
{% set web = salt["pillar.get"]("web", {}) %}

nginx is installed:
  pkg.installed:
    - name: nginx-light
    - install_recommends: False

the page is there:
  file.managed:
    - name: /var/www/html/index.html
    - contents: |
        <!DOCTYPE html>
        <title>{{ web.get("title", "A variation") }}</title>
        <h1>{{ web.get("title", "A variation") }}</h1>
        <p>Made from {{ grains["osfullname"] }} {{ grains["osrelease"] }} by variation.sls.</p>
    - require:
      - pkg: nginx is installed

nginx runs at boot:
  service.running:
    - name: nginx
    - enable: True
    - watch:
      - file: the page is there

the webmaster has an account:
  user.present:
    - name: webmaster
    - shell: /bin/bash
    - groups:
      - www-data
    - require:
      - pkg: nginx is installed

the motd tells what this is:
  file.append:
    - name: /etc/motd
    - text: This machine is the variation {{ grains["id"] }}.

{% for package, version in web.get("pinned", {}).items() %}
{{ package }} stays at {{ version }}:
  file.managed:
    - name: /etc/apt/preferences.d/{{ package }}
    - contents: |
        Package: {{ package }}
        Pin: version {{ version }}
        Pin-Priority: 1001
  pkg.installed:
    - name: {{ package }}
    - version: '{{ version }}'
    - require:
      - file: {{ package }} stays at {{ version }}
{% endfor %}
