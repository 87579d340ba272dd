. "$CASES/words.sh"
cp "$RAMDISK" "$TMPDIR/ramdisk"
unmkinitramfs "$TMPDIR/ramdisk" "$TMPDIR/unpacked"
for module in virtio_blk ext4; do
    right "no $module in the ramdisk" sh -c "find '$TMPDIR/unpacked' -name '$module.ko*' | grep -q ."
done
