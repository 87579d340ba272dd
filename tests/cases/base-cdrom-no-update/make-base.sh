set -e
cd "$1"
. "$CASES/installed-root.sh"
tar -c -f "$2" .
