. "$CASES/words.sh"
ramdisk_has dm-mod
right "something is there for the builder's kernel" not test -e "$ROOT/boot/initrd.img-$(uname -r)"
