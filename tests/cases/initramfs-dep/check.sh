. "$CASES/words.sh"
ramdisk_has virtio_blk
