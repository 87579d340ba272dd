python is there:
  pkg.installed:
    - pkgs: [python3-venv, python3-pip]
    - install_recommends: False

a package of our own:
  file.recurse:
    - name: /srv/package
    - source: salt://package

an environment:
  virtualenv.managed:
    - name: /srv/venv
    - venv_bin: /usr/bin/python3
    - require: [{pkg: python is there}]

it is installed there:
  pip.installed:
    - name: /srv/package
    - bin_env: /srv/venv
    - no_index: True
    - extra_args: ["--no-build-isolation", "--no-compile"]
    - require: [{virtualenv: an environment}, {file: a package of our own}]

it works:
  cmd.run:
    - name: /srv/venv/bin/parity-says > /srv/said
    - env: [PYTHONDONTWRITEBYTECODE: '1']
    - require: [{pip: it is installed there}]

something goes:
  pip.removed:
    - name: wheel
    - bin_env: /srv/venv
    - require: [{pip: it is installed there}]

the interpreter of the system:
  cmd.run:
    - name: python3 -c 'import sys; print(sys.executable, sys.prefix, sys.version_info[:2])' > /srv/interpreter
