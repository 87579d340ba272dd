. "$CASES/words.sh"
ramdisk_has virtio_blk
ramdisk_has ext4
