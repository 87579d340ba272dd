"""A small root with mkosi and mmdebstrap of the newest versions that the archive areas of this Debian offer.

mkosi of bookworm-backports wants a newer systemd than bookworm's.  That belongs into no user's machine, so it gets a root of its
own.
"""

import shutil
import subprocess

from racing.track import RELEASE

from peers.contest import Contest

_PROGRAMS = "mkosi mmdebstrap debian-archive-keyring e2fsprogs kmod cpio mount tar uidmap xz-utils zstd python3-pefile systemd-boot dosfstools mtools"
_ENTER = """
set -eu
root=$1 directory=$2 tools=$3; shift 3
mount --rbind "$root" "$root"
for path in /dev /proc /sys "$directory" "$tools" /etc/resolv.conf; do
    if [ -d "$path" ]; then mkdir -p "$root$path"; else touch "$root$path"; fi
    mount --rbind "$path" "$root$path"
done
cd "$root"
mkdir -p old
pivot_root . old
umount --lazy /old
cd /
exec env PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@"
"""


class InSmallRoot(Contest):
    """A peer that runs in the small root, which is made once.

    :cvar str package: whose version is shown
    """

    package = ""

    @property
    def root(self):
        return self.track.tools / "root"

    def install(self):
        listed = self.root / "race-programs"
        if listed.exists() and listed.read_text() == _PROGRAMS:
            return
        backports = f"deb {self.track.main_mirror()} {RELEASE}-backports main"
        partial = self.root.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        argv = ["mmdebstrap", "--mode=root", "--variant=apt", "--format=directory", f"--include={_PROGRAMS.replace(' ', ',')}"]
        argv += ['--aptopt=APT::Install-Recommends "false"', "--dpkgopt=force-unsafe-io"]
        argv += [f'--aptopt=APT::Default-Release "{RELEASE}-backports"']
        subprocess.run([*argv, RELEASE, partial, *self.track.plan["sources"], backports], check=True, capture_output=True)
        (partial / listed.name).write_text(_PROGRAMS)
        shutil.rmtree(self.root, ignore_errors=True)
        partial.rename(self.root)

    def version(self):
        argv = ["dpkg-query", f"--admindir={self.root}/var/lib/dpkg", "--show", "--showformat=${Version}", self.package]
        return subprocess.check_output(argv, text=True)

    def entering(self, argv):
        """The argv that runs another argv in there, with our directories, the machine's devices and nothing else of it."""
        places = [self.root, self.track.directory, self.track.tools]
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ENTER, "enter", *places, *argv]
