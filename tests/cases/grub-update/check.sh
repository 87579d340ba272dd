. "$CASES/words.sh"
right "no entry of grub.cfg boots the kernel with audit=1" grep -q 'linux.*/vmlinuz.*audit=1' "$ROOT/boot/grub/grub.cfg"
right "grub.cfg names the overlay of the build" not grep -qE 'root=(overlay|vm_create)' "$ROOT/boot/grub/grub.cfg"
