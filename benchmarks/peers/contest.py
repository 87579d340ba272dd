"""What a contest is, and what several of them need."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from vmimage.system.shell import find_program


@dataclass(frozen=True)
class Triplet:
    """A result: three files, and the motd that must be in it."""

    root_image: Path
    kernel: Path
    ramdisk: Path
    motd: str


@dataclass(frozen=True)
class Disk:
    """A result: a whole disk, raw, and the motd that must be in it."""

    image: Path
    motd: str


class Contest:
    """One way to do the job.

    :cvar str name: for ``--only`` and JSON
    :cvar str title: for table and plot
    :cvar str note: what it cannot do, or does otherwise
    :cvar str kind: ours, peer or floor
    :cvar bool clean: whether it does the whole job each time
    :cvar int count: how many triplets one run makes
    :cvar bool default: whether it runs without ``--all`` and without being named by ``--only``
    """

    name = title = note = ""
    kind, clean, count, default = "peer", True, 1, True

    def __init__(self, track):
        self.track = track

    def motd(self, number):
        """What is asked of a run: it differs each time, so that nobody may hand out the last result again."""
        return f"raced in round {number}"

    def install(self):
        """Get its programs; not timed."""

    def version(self):
        """What ran."""
        return ""

    def command(self, lap):
        """The argv that is timed.  It writes to ``lap.directory``, and ends when that is on the disk."""
        raise NotImplementedError

    def reads(self, lap):
        """The directories of what it reads that is not everybody's: a warm run finds them in the page cache."""
        return [lap.cache, self.track.tools]

    def triplets(self, lap):
        """The results to look at."""
        return [Triplet(lap.directory / "root.img", lap.directory / "kernel", lap.directory / "ramdisk", lap.motd)]

    def disks(self, lap):
        """The whole disks to look at."""
        return []

    def details(self, lap):
        """What else is to be noted of this run."""
        return {}


#: what peers without an ext4 output use: a root image with a journal of 8 MiB, as ours, kernel, ramdisk, all on the disk
SHELL = r"""
set -eu
unpack_base() {  # TAR DIRECTORY: once
    [ ! -e "$2" ] || return 0
    mkdir "$2.partial"
    tar -C "$2.partial" --numeric-owner --xattrs --xattrs-include='*' -xf "$1"
    mv "$2.partial" "$2"
}
deliver() {  # ROOT DIRECTORY
    cp "$(ls -v "$1"/boot/vmlinuz-* | tail -n 1)" "$2/kernel"
    cp "$(ls -v "$1"/boot/initrd.img-* | tail -n 1)" "$2/ramdisk"
    inodes=$(( $(du -s --inodes "$1" | cut -f 1) * 102 / 100 + 64 ))
    files=$(du -s --block-size=4096 "$1" | cut -f 1)
    room=$(( files < 204800 ? files / 50 : 4096 ))  # so much Linux holds back: without more a first boot could not write
    blocks=$(( files + 2048 + room + 1024 + 1024 + inodes / 16 ))  # the journal, room as in ours, the file system's own, the inodes' tables
    mke2fs -q -F -t ext4 -b 4096 -I 256 -m 1 -L root -N $inodes -J size=8 -E root_owner=0:0 -d "$1" "$2/root.img" $blocks
    sync "$2/root.img" "$2/kernel" "$2/ramdisk"
}
"""


def shell(script, *arguments):
    """The argv of a script that uses the functions above; its arguments are $1 and so on."""
    return ["sh", "-c", SHELL + script, "race", *map(str, arguments)]


def needs_program(name, package):
    """Install a Debian package, if its program is missing."""
    if not find_program(name):
        argv = ["apt-get", "-q", "-y", "install", "--no-install-recommends", package]
        subprocess.run(argv, check=True, capture_output=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
