set -e
. "$CASES/two-partitions.sh"
two_partitions "$1" "$2" var
