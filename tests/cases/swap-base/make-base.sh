set -e
cd "$1"
. "$CASES/small-root.sh"
head -c 16M /dev/zero > swap.img
chmod 600 swap.img
mkswap -q swap.img
echo '/swap.img none swap sw 0 0' >> etc/fstab
tar -c -f "$2" .
