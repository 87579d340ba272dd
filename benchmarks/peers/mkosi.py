"""mkosi: the base as base tree below an overlay, its package cache kept, its workspace in memory.

`Incremental=`, its other cache, keeps what the packages made: it would skip the very job.  It has no plain ext4 output: it makes
the upper layer of the overlay, and mke2fs -d writes both.  `CleanPackageMetadata=` would take dpkg's own list of packages, too.
"""

from racing.track import PACKAGES, RELEASE, USER

from peers.contest import Contest, shell
from peers.small_root import SmallRoot

_SCRIPT = """
tar=$1 cache=$2 memory=$3 out=$4; shift 4
mkdir -p "$cache/packages" "$memory/work" "$memory/made" "$memory/merged"
unpack_base "$tar" "$cache/base"
"$@"
mount -t overlay -o "ro,lowerdir=$memory/made/root:$cache/base" overlay "$memory/merged"
deliver "$memory/merged" "$out"
umount "$memory/merged"
"""
_CONFIG = """
[Distribution]
Distribution=debian
Release={release}
CacheOnly=never

[Output]
Format=directory
Overlay=yes
Output=root
OutputDirectory={lap.memory}/made
WorkspaceDirectory={lap.memory}/work
PackageCacheDirectory={lap.cache}/packages
ManifestFormat=

[Content]
BaseTrees={lap.cache}/base
Packages={packages}
WithRecommends=no
WithDocs=yes
Bootable=no
CleanPackageMetadata=no
RemoveFiles=/var/lib/apt/lists/*
            /var/cache/apt/*
BuildSources=

[Host]
ProxyUrl={proxy}
"""
_PREPARE = '#!/bin/sh\n[ "$1" != final ] || apt-get -y dist-upgrade\n'
_POSTINST = """#!/bin/sh
set -eu
useradd --create-home --shell /bin/bash {user}
echo '{motd}' > /etc/motd
rm -f /etc/apt/sources.list.d/{release}.sources
"""
_SOURCE = "Types: deb\nURIs: {}\nSuites: {}\nComponents: {}\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n"


class Mkosi(Contest):
    name = "mkosi"
    title = "mkosi + mke2fs"
    note = "no plain ext4 output: given an overlay directory and mke2fs -d; runs in a root of its own, its systemd being newer"

    def __init__(self, track):
        super().__init__(track)
        self.root = SmallRoot(track)

    def install(self):
        self.root.install()

    def version(self):
        return self.root.version_of("mkosi")

    def command(self, lap):
        configuration = self._configure(lap)
        argv = self.root.entering(["mkosi", "--directory", configuration, "--force", "build"])
        return shell(_SCRIPT, self.track.tar, lap.cache, lap.memory, lap.directory, *argv)

    def _configure(self, lap):
        """Its files: what is to be built, the update, the user and the motd, and the same sources as the base has."""
        top = lap.directory / "mkosi"
        sources = top / "mkosi.pkgmngr/etc/apt/sources.list.d/mkosi.sources"
        sources.parent.mkdir(parents=True)
        sources.write_text("".join(_SOURCE.format(*source) for source in self.track.sources))
        packages = "\n         ".join(PACKAGES)
        (top / "mkosi.conf").write_text(_CONFIG.format(lap=lap, release=RELEASE, packages=packages, proxy=self.track.proxy()))
        for name, text in ("prepare", _PREPARE), ("postinst.chroot", _POSTINST.format(user=USER, motd=lap.motd, release=RELEASE)):
            (top / f"mkosi.{name}").write_text(text)
            (top / f"mkosi.{name}").chmod(0o755)
        return top
