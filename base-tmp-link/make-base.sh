set -e
cd "$1"
. "$HELP/small-root.sh"
rm -r tmp
ln -s var/tmp tmp
tar -c -f "$2" .
