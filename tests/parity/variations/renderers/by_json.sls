#!json
{"by json": {"file.managed": [{"name": "/srv/by-json"}, {"contents": "json"}, {"makedirs": true}]}}
