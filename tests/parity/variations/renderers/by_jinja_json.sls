#!jinja|json
{{ {"by jinja and json": {"file.managed": [{"name": "/srv/by-jinja-json"}, {"contents": grains["os"]}, {"makedirs": true}]}} | json }}
