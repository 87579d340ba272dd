# In make-base.sh, in the root: apt's sources as an installer leaves them that was started from a disc.
. "$CASES/small-root.sh"
rm -rf etc/apt/sources.list.d/*
echo 'deb cdrom:[Debian 12 of the installer]/ bookworm main' > etc/apt/sources.list
