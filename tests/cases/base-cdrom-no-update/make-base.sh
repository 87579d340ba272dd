set -e
cd "$1"
. "$CASES/small-root.sh"
rm -rf etc/apt/sources.list.d/*
echo 'deb cdrom:[Debian 12 of the installer]/ bookworm main' > etc/apt/sources.list
tar -c -f "$2" .
