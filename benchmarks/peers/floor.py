"""No tool at all: what apt itself and writing the image cost, on a tmpfs."""

from racing.track import PACKAGES, USER

from peers.contest import Contest, shell

_SCRIPT = """
tar=$1 cache=$2 memory=$3 out=$4 motd=$5; shift 5
mkdir -p "$cache/lists" "$cache/archives"
unpack_base "$tar" "$memory/root"
cd "$memory/root"
mount --bind "$cache/lists" var/lib/apt/lists
mount --bind "$cache/archives" var/cache/apt/archives
mount -t proc proc proc
mount --rbind /dev dev
mkdir -p run/systemd/resolve
cp -L /etc/resolv.conf run/systemd/resolve/stub-resolv.conf  # where the base's own link points to
printf '#!/bin/sh\\nexit 101\\n' > usr/sbin/policy-rc.d; chmod +x usr/sbin/policy-rc.d
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin
chroot . apt-get -q update
chroot . apt-get -q -y -o Dpkg::Options::=--force-unsafe-io dist-upgrade
chroot . apt-get -q -y -o Dpkg::Options::=--force-unsafe-io -o Binary::apt-get::APT::Keep-Downloaded-Packages=true install "$@"
chroot . useradd --create-home --shell /bin/bash USER
printf '%s\\n' "$motd" > etc/motd
rm -r usr/sbin/policy-rc.d run/systemd var/cache/apt/*.bin
cd /
umount --recursive "$memory/root/dev" "$memory/root/proc" "$memory/root/var/lib/apt/lists" "$memory/root/var/cache/apt/archives"
deliver "$memory/root" "$out"
""".replace("USER", USER)


class Floor(Contest):
    name = kind = "floor"
    title = "floor: apt-get + mke2fs"
    note = "no tool: tar into a tmpfs, apt-get in a chroot with lists and debs kept, mke2fs -d; seals nothing, checks nothing"

    def command(self, lap):
        return shell(_SCRIPT, self.track.tar, lap.cache, lap.memory, lap.directory, lap.motd, *PACKAGES)
