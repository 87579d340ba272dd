# In make-base.sh: two_partitions ROOT FILE DIRECTORY makes a disk whose root has the directory, with a file in it, on a partition of
# its own.
two_partitions() {
    local work
    (cd "$1" && . "$CASES/small-root.sh" && mkdir -p "$3/kept" && echo here > "$3/kept/word" && echo "LABEL=more /$3 ext4 defaults 0 2" >> etc/fstab)
    work=$(mktemp -d "$TMPDIR/parts.XXXXXX")
    mv "$1/$3" "$work/more"
    mkdir "$1/$3"
    mke2fs -q -F -t ext4 -L root -d "$1" "$work/root.img" 600M
    mke2fs -q -F -t ext4 -L more -d "$work/more" "$work/more.img" 100M
    truncate -s 702M "$2"
    printf '%s\n' 'label: gpt' 'size=600M, type=linux' 'size=100M, type=linux' | sfdisk -q "$2"
    dd if="$work/root.img" of="$2" bs=1M seek=1 conv=notrunc,sparse status=none
    dd if="$work/more.img" of="$2" bs=1M seek=601 conv=notrunc,sparse status=none
    rm -r "$work"
}
