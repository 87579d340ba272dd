. "$CASES/words.sh"
has /etc/mark changed
has /etc/fstab '/swap.img none swap sw 0 0'
right "the swap file has a hole" python3 -c '
import os, sys
file = os.open(sys.argv[1], os.O_RDONLY)
size = os.fstat(file).st_size
sys.exit(size != 16 << 20 or os.lseek(file, 0, os.SEEK_HOLE) < size)' "$ROOT/swap.img"
