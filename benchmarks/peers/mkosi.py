"""mkosi: the base as base tree below an overlay, its package cache kept, its workspace in memory.

`Incremental=`, its other cache, keeps what the packages made: it would skip the very job, and so it is a contest of its own, beside
our incremental build.  mkosi has no plain ext4 output: it makes the upper layer of the overlay, and mke2fs -d writes both.
`CleanPackageMetadata=` would take dpkg's own list of packages, too.
"""

from racing.track import PACKAGES, RELEASE, USER

from peers.contest import shell
from peers.small_root import InSmallRoot

_SCRIPT = """
tar=$1 cache=$2 memory=$3 out=$4; shift 4
mkdir -p "$cache/packages" "$cache/images" "$memory/work" "$memory/made" "$memory/merged"
unpack_base "$tar" "$cache/base"
"$@"
mount -t overlay -o "ro,lowerdir=$memory/made/root:$cache/base" overlay "$memory/merged"
deliver "$memory/merged" "$out"
umount "$memory/merged"
"""
_SCRIPT_WHOLE = """
cache=$2 memory=$3 out=$4; shift 4
mkdir -p "$cache/packages" "$cache/images" "$memory/work" "$memory/made"
"$@"
deliver "$memory/made/root" "$out"
"""
_CONFIG = """
[Distribution]
Distribution=debian
Release={release}
CacheOnly={fetching}

[Output]
Format={format}
Overlay={overlay}
Output=root
OutputDirectory={lap.memory}/made
WorkspaceDirectory={lap.memory}/work
PackageCacheDirectory={lap.cache}/packages
CacheDirectory={lap.cache}/images
Incremental={incremental}
ManifestFormat=

[Content]
BaseTrees={base}
Packages={packages}
WithRecommends=no
WithDocs=yes
{boot}
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


class Mkosi(InSmallRoot):
    name = package = "mkosi"
    title = "mkosi + mke2fs"
    note = (
        "no plain ext4 output: given an overlay directory and mke2fs -d; the base unpacked once; runs in a root of its own, its systemd "
        "being newer; Incremental= is another contest: it has no part in a clean build"
    )
    script = _SCRIPT

    def command(self, lap):
        configuration = self._configure(lap)
        argv = self.entering(["mkosi", "--directory", configuration, "--force", "build"])
        return shell(self.script, self.track.tar, lap.cache, lap.memory, lap.directory, *argv)

    def _configure(self, lap):
        """Its files: what is to be built, the update, the user and the motd, and the same sources as the base has."""
        top = lap.directory / "mkosi"
        sources = top / "mkosi.pkgmngr/etc/apt/sources.list.d/mkosi.sources"
        sources.parent.mkdir(parents=True)
        sources.write_text("".join(_SOURCE.format(*source) for source in self.track.sources))
        chosen = {"format": "directory", "boot": ["Bootable=no"], **self.choose(lap)}
        chosen |= {"packages": "\n         ".join(chosen["packages"]), "boot": "\n".join(chosen["boot"])}
        (top / "mkosi.conf").write_text(_CONFIG.format(lap=lap, release=RELEASE, proxy=self.track.proxy(), **chosen))
        for name, text in ("prepare", _PREPARE), ("postinst.chroot", _POSTINST.format(user=USER, motd=lap.motd, release=RELEASE)):
            (top / f"mkosi.{name}").write_text(text)
            (top / f"mkosi.{name}").chmod(0o755)
        return top

    def choose(self, lap):
        """What the two contests have otherwise."""
        return {"overlay": "yes", "base": lap.cache / "base", "packages": PACKAGES, "incremental": "no", "fetching": "never"}


class Incremental(Mkosi):
    """Its answer to an edit.  It makes no use of `Incremental=` above a base tree, and so installs the base by itself, once."""

    name = "mkosi-incremental"
    title = "mkosi, Incremental=yes + mke2fs"
    note = "an edit after the packages: these come from its cache as they were, so nothing is updated and no base is used"
    clean = default = False
    script = _SCRIPT_WHOLE

    def choose(self, lap):
        packages = [*self.track.plan["packages"], *PACKAGES]
        return {"overlay": "no", "base": "", "packages": packages, "incremental": "yes", "fetching": "auto"}
