set -e
. "$CASES/wheel.sh"
echo 'case-words==1' > needs.txt
