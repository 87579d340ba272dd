. "$CASES/words.sh"
has /etc/ssh/sshd_config.d/50-mark.conf 'PermitRootLogin no'
right "a host key of the base is in the image" test -z "$(ls "$ROOT"/etc/ssh/ssh_host_*_key 2> /dev/null)"
makes_keys() {
    local unit
    for unit in "$ROOT"/etc/systemd/system/*.wants/*.service "$ROOT"/etc/systemd/system/*.service.d/*.conf \
        "$ROOT"/etc/systemd/system/ssh.service; do
        [ -L "$unit" ] && unit=$ROOT$(readlink "$unit" | sed "s,^\.\./,/etc/systemd/system/,")
        [ -f "$unit" ] && grep -qE '^Exec(Start|StartPre)=.*ssh-keygen.* -A' "$unit" && return
    done
    return 1
}
right "nothing in the image makes host keys at boot" makes_keys
