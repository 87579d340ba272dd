. "$CASES/words.sh"
cp "$RAMDISK" "$TMPDIR/ramdisk"
right "no dm-mod in the ramdisk" sh -c "unmkinitramfs '$TMPDIR/ramdisk' '$TMPDIR/unpacked' && find '$TMPDIR/unpacked' -name 'dm-mod.ko*' | grep -q ."
right "something is there for the builder's kernel" not test -e "$ROOT/boot/initrd.img-$(uname -r)"
