"""mmdebstrap: a setup hook unpacks the base's tar, as its manual does with tar-in; hooks keep apt's lists and debs outside."""

from racing.track import PACKAGES, RELEASE, TAR_ALL, USER

from peers.contest import shell
from peers.small_root import InSmallRoot

_SCRIPT = """
tar=$1 cache=$2 memory=$3 out=$4 motd=$5; shift 5
mkdir -p "$cache/lists" "$cache/archives"
export TMPDIR="$memory" RACE_CACHE="$cache" RACE_MOTD="$motd"
"$@"
deliver "$memory/root" "$out"
"""
_KEPT = "for kept in lib/apt/lists cache/apt/archives; do {} ; done"


class Mmdebstrap(InSmallRoot):
    name = package = "mmdebstrap"
    title = "mmdebstrap + mke2fs"
    note = "writes ext2 without a journal by itself: given a directory and mke2fs -d; unpacks the base each time; seals a little"

    def command(self, lap):
        mount = _KEPT.format('mkdir -p "$1/var/$kept" && mount --bind "$RACE_CACHE/${kept##*/}" "$1/var/$kept"')
        unmount = _KEPT.format('umount "$1/var/$kept"')
        options = ["--mode=root", "--variant=custom", "--format=directory", f"--include={','.join(PACKAGES)}"]
        options += [f'--setup-hook=tar -C "$1" {" ".join(TAR_ALL)} -xf {self.track.tar}', f"--setup-hook={mount}"]
        options += ["--skip=essential/unlink", "--dpkgopt=force-unsafe-io"]
        options += ['--aptopt=APT::Install-Recommends "false"', '--aptopt=APT::Keep-Downloaded-Packages "true"']
        options += [f'--aptopt=Acquire::http::Proxy "{self.track.proxy()}"'] if self.track.proxy() else []
        options += ['--customize-hook=APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get -y dist-upgrade']
        options += [f'--customize-hook=chroot "$1" useradd --create-home --shell /bin/bash {USER}']
        options += ['--customize-hook=echo "$RACE_MOTD" > "$1/etc/motd"', f"--customize-hook={unmount}"]
        argv = self.entering(["mmdebstrap", *options, RELEASE, lap.memory / "root", *self.track.plan["sources"]])
        return shell(_SCRIPT, self.track.tar, lap.cache, lap.memory, lap.directory, lap.motd, *argv)
