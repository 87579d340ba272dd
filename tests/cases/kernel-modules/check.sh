. "$CASES/words.sh"
for module in br_netfilter dummy; do has /etc/modules-load.d/salt_managed.conf $module; done
right "a module that was taken away is loaded" not grep -q overlay "$ROOT/etc/modules-load.d/salt_managed.conf"
right "no remedy for what is loaded only once" grep -q "persist: True" "$ROOT/srv/said"
right "the builder loaded a module" not grep -q ^br_netfilter /proc/modules
