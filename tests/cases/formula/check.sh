. "$CASES/words.sh"
has /etc/app.facts 'port is 8080'
has /etc/app.facts 'family is of debian'
has /etc/app.facts "names is ['one']"
right "left of nested is not the default" grep -q "^nested is .*'left': 'default'" "$ROOT/etc/app.facts"
right "right of nested is not of the pillar" grep -q "^nested is .*'right': 'pillar'" "$ROOT/etc/app.facts"
has /etc/app.facts 'extra is from json'
has /etc/app.facts 'here is app app app.install app/install.sls'
has /etc/app.facts 'config is pillar'
has /etc/app.facts 'file is anybody'
has /etc/app.facts 'rendered is green'
has /etc/app.facts 'default is 80'
has /etc/app.conf 'family 8080 bookworm'
