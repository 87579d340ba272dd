. "$CASES/words.sh"
for path in ssl/private/ssl-cert-snakeoil.key ssl/certs/ssl-cert-snakeoil.pem iscsi/initiatorname.iscsi nvme/hostnqn nvme/hostid bind/rndc.key \
    dropbear/dropbear_ed25519_host_key dropbear/dropbear_rsa_host_key .git; do
    gone "/etc/$path"
done
gone /var/lib/rabbitmq/.erlang.cookie /var/lib/ejabberd/.erlang.cookie
has /var/lib/couchdb/.erlang.cookie "a key that the variation brings"
for unit in snakeoil iscsi-name nvme-host rndc-key dropbear-keys; do
    right "first-boot-$unit is not enabled" test -L "$ROOT/etc/systemd/system/sysinit.target.wants/first-boot-$unit.service"
done
right "first-boot-etckeeper is not enabled" test -L "$ROOT/etc/systemd/system/multi-user.target.wants/first-boot-etckeeper.service"
has /etc/munge/munge.key "a key that the variation brings"
right "an id of popularity-contest" not grep -q MY_HOSTID "$ROOT/etc/popularity-contest.conf"
right "a link of the certificate leads nowhere" test -z "$(find "$ROOT/etc/ssl/certs" -lname ssl-cert-snakeoil.pem)"
gone /etc/systemd/system/first-boot-munge-key.service
