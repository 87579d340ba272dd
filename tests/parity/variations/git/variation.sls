git is there:
  pkg.installed:
    - pkgs: [git]
    - install_recommends: False

a repository:
  cmd.run:
    - name: |
        set -e
        git init -q -b main /srv/origin; cd /srv/origin
        git config user.name Nobody; git config user.email nobody@example.com
        export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
        echo one > file; git add file; git commit -q -m first; git tag v1
        echo two > file; git commit -q -a -m second
        git checkout -q -b other; echo three > file; git commit -q -a -m third; git checkout -q main
        rm -f .git/index .git/logs -r; git read-tree main
    - creates: /srv/origin/.git
    - require: [{pkg: git is there}]

the latest:
  git.latest:
    - name: file:///srv/origin
    - target: /srv/latest
    - branch: main
    - require: &git [{cmd: a repository}]

a tag:
  git.latest:
    - name: file:///srv/origin
    - target: /srv/tag
    - rev: v1
    - require: *git

cloned:
  git.cloned:
    - name: file:///srv/origin
    - target: /srv/cloned
    - branch: other
    - require: *git

detached:
  git.detached:
    - name: file:///srv/origin
    - target: /srv/detached
    - rev: v1
    - require: *git

bare:
  git.present:
    - name: /srv/bare
    - bare: True
    - require: [{pkg: git is there}]

a setting for all:
  git.config_set:
    - name: user.name
    - value: Everybody
    - global: True
    - require: [{pkg: git is there}]

a setting of one:
  git.config_set:
    - name: parity.colour
    - multivar: [green, blue]
    - repo: /srv/latest
    - require: [{git: the latest}]
