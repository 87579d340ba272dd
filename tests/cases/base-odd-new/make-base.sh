set -e
(cd "$1" && . "$CASES/small-root.sh")
mke2fs -q -F -t ext4 -O orphan_file,metadata_csum,metadata_csum_seed,64bit -L root -d "$1" "$2" 700M
