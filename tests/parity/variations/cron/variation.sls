cron is there:
  pkg.installed:
    - pkgs: [cron, logrotate]

a job:
  cron.present:
    - name: /bin/true a
    - identifier: JOB
    - comment: said of it
    - minute: '*/5'
    - hour: 3
    - daymonth: 1
    - month: 2
    - dayweek: 4
    - require: &cron [{pkg: cron is there}]

a job at boot:
  cron.present:
    - name: /bin/true boot
    - special: '@reboot'
    - require: *cron

a commented job:
  cron.present:
    - name: /bin/true commented
    - commented: True
    - require: *cron

another's job at some minute that stays:
  cron.present:
    - name: /bin/true games
    - user: games
    - minute: '7'
    - require: *cron

one that goes:
  cron.present:
    - name: /bin/true gone
    - require: *cron

it goes:
  cron.absent:
    - name: /bin/true gone
    - require: [{cron: one that goes}]

an environment:
  cron.env_present:
    - name: MAILTO
    - value: root@example.com
    - require: *cron

an environment that goes:
  cron.env_absent:
    - name: NOTHING
    - require: *cron

a whole table:
  cron.file:
    - name: salt://table
    - user: www-data
    - require: *cron

a file of cron:
  file.managed:
    - name: /etc/cron.d/parity
    - contents: "5 * * * * root /bin/true"

logs rotate:
  logrotate.set:
    - name: weekly
    - key: rotate
    - value: "8"
    - require: *cron
