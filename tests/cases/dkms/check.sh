. "$CASES/words.sh"
kernel=$(basename "$(ls -d "$ROOT"/boot/vmlinuz-*)"); kernel=${kernel#vmlinuz-}
is_in "/lib/modules/$kernel/updates/dkms" 'case.ko*'
right "something is there for the builder's kernel" not test -e "$ROOT/lib/modules/$(uname -r)"
