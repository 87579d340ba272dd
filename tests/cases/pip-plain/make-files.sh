set -e
. "$CASES/wheel.sh"
