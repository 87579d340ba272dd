set -e
cd "$1"
. "$CASES/small-root.sh"
ssh-keygen -q -A -f .
rm -f etc/systemd/system/ssh-host-keys.service etc/systemd/system/*.wants/ssh-host-keys.service
rm -rf etc/cloud usr/lib/python3/dist-packages/cloudinit usr/bin/cloud-init* lib/systemd/system/cloud-* etc/systemd/system/cloud-*
rm -f etc/systemd/system/*.wants/cloud-*
sed -i '/^Package: cloud-init$/,/^$/d' var/lib/dpkg/status
tar -c -f "$2" .
