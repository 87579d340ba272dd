. "$CASES/words.sh"
there /etc/copier/name
in_image() { grep -rqIF -- "$1" "$ROOT"/etc "$ROOT"/var/spool "$ROOT"/var/lib "$ROOT"/root; }
servers=$(awk '/^nameserver/ {print $2} /^(search|domain)/ {for (i = 2; i <= NF; i++) print $i}' /etc/resolv.conf)
for word in $servers "$(hostname)" vm_create; do
    [ "${#word}" -gt 3 ] || continue
    case $word in localhost) continue ;; esac
    right "$word of the builder is in $(grep -rlIF -- "$word" "$ROOT"/etc "$ROOT"/var/spool | sed "s,^$ROOT,,")" not in_image "$word"
done
