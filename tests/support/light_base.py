"""A base of 80 MB, made of the usual base: it has a shell, dpkg, apt and systemd, and neither Python nor Perl nor kernel modules.

A build on it takes half of the time. What is looked at there is what this project does, not what Debian's packages do.
"""

import os
import subprocess

from changeable import changeable

SMALLER = r"""
rm -rf usr/lib/python3* usr/bin/python3* usr/lib/*/perl usr/lib/*/gconv usr/lib/udev usr/lib/modules usr/lib/firmware usr/lib/locale \
    usr/lib/*/libpython* usr/lib/klibc usr/lib/initramfs-tools usr/lib/openssh usr/bin/ssh* var/cache/apt/*.bin var/lib/apt/lists/* \
    var/log/*.log boot/config* boot/System.map* etc/apt/sources.list.d/* var/lib/dpkg/info/*.{md5sums,symbols,shlibs,templates} \
    usr/lib/systemd/system/*.service.d usr/bin/perl* usr/lib/*/libperl* usr/sbin/dhclient usr/bin/openssl usr/bin/*zstd
find usr/share -mindepth 1 -maxdepth 1 ! -name dpkg ! -name debconf ! -name adduser ! -name base-files ! -name base-passwd -exec rm -rf {} +
for file in boot/vmlinuz-* boot/initrd.img-*; do
    head -c 200000 "$file" > boot/short && cat boot/short > "$file" && rm boot/short
done
echo "deb [trusted=yes] $ARCHIVE ./" > etc/apt/sources.list
"""


def make_light_base(base, image, work, archive="file:/srv/archive"):
    """Write it as a file system image.

    :param base: the prepared base of this machine
    :param Path work: a new directory, for what is changed
    :param str archive: where its apt finds packages
    """
    with changeable(base.image, work) as root:
        subprocess.run(["bash", "-ec", SMALLER], cwd=root, env={**os.environ, "ARCHIVE": archive}, check=True)
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-L", "root", "-d", root, image, "160M"], check=True)


def light_settings(base, directory):
    """The settings of builds on it, which share a cache.

    :param base: the prepared base of this machine
    :param Path directory: new
    """
    image = directory / "base.img"
    (directory / "cache/bases").mkdir(parents=True)
    make_light_base(base, image, directory / "work")
    return {"ami.base": str(image), "ami.base_unverified": True, "ami.cache": str(directory / "cache")}
