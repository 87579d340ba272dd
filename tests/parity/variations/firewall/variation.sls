nftables is there:
  pkg.installed:
    - pkgs: [nftables]
    - reload_modules: True

a table:
  nftables.table_present:
    - name: filter
    - family: inet
    - require: [{pkg: nftables is there}]
