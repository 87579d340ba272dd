set -e
(cd "$1" && . "$CASES/small-root.sh")
mke2fs -q -F -t ext2 -b 1024 -I 128 -L root -d "$1" "$2" 700M
debugfs -w -R 'ssv state 0' "$2"
