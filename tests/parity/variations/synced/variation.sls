git is there:
  pkg.installed:
    - pkgs: [git]
    - reload_modules: True

an option of git:
  git.config_set:
    - name: user.name
    - value: Parity
    - global: True
    - require: [{pkg: git is there}]

the machine is not busy:
  status.loadavg:
    - name: 1-min
    - maximum: 100000

until it is so:
  loop.until:
    - name: test.echo
    - m_args: [yes]
    - condition: m_ret
    - period: 0.1
    - timeout: 5

beacons are synced:
  saltutil.sync_beacons: []

clouds are synced:
  saltutil.sync_clouds: []

engines are synced:
  saltutil.sync_engines: []

grains are synced:
  saltutil.sync_grains: []

executors are synced:
  saltutil.sync_executors: []

log_handlers are synced:
  saltutil.sync_log_handlers: []

output are synced:
  saltutil.sync_output: []

outputters are synced:
  saltutil.sync_outputters: []

pillar are synced:
  saltutil.sync_pillar: []

proxymodules are synced:
  saltutil.sync_proxymodules: []

matchers are synced:
  saltutil.sync_matchers: []

renderers are synced:
  saltutil.sync_renderers: []

returners are synced:
  saltutil.sync_returners: []

sdb are synced:
  saltutil.sync_sdb: []

tops are synced:
  saltutil.sync_tops: []

utils are synced:
  saltutil.sync_utils: []

serializers are synced:
  saltutil.sync_serializers: []

wrapper are synced:
  saltutil.sync_wrapper: []

thorium are synced:
  saltutil.sync_thorium: []
