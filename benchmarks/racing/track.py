"""Where the race is run: its directories, the base that all start from, and what is cleared away behind it.

DIRECTORY/tools/   base.tar, disk.tar, the peers' programs: made once         DIRECTORY/caches/NAME/   what a contest keeps between its runs
DIRECTORY/lap/     one run: results on the disk, and memory/, a tmpfs for scratch where memory is plenty
"""

import json
import os
import shutil
import socket
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vmimage.base.bootstrap import bootstrap, digest_of_plan, plan_bootstrap
from vmimage.base.locate import architecture_of
from vmimage.settings.schema import Settings
from vmimage.system.digest import digest_of_file

from racing import meter, proxy

PACKAGES = ["nginx", "postgresql-15"]
USER = "racer"
RELEASE = "bookworm"
_TMPFS_FREE_GIB = 6  # so much must be free for peers to work in memory: DIB asks for about that, the others for 1.5


@dataclass(frozen=True)
class Base:
    """What contests start from.

    :ivar Path tar: its files
    :ivar str digest: ``sha256:HEX``
    """

    tar: Path
    digest: str


class Track:
    """What all contests share.

    :ivar Base base: what all start from
    :ivar Base disk_base: what whole disks start from, once a contest has asked for it
    :ivar list sources: ``(address, suite, components)`` of each of its apt sources
    :ivar int proxy_port: where the counting proxy listens
    """

    def __init__(self, directory, tools=None):
        self.directory = directory
        self.tools = Path(tools or os.environ.get("RACE_TOOLS") or directory / "tools").resolve()
        self.tools.mkdir(parents=True, exist_ok=True)

    @property
    def tar(self):
        """The files of the base."""
        return self.base.tar

    def make_base(self, say):
        """Bootstrap the base, as our own builds do, if it is not there or its plan has changed."""
        self.plan = self._plan()
        self.sources = [tuple(line.split(" ", 3)[1:]) for line in self.plan["sources"]]
        self.proxy_port = (self._facts("base") or {"port": _free_port()})["port"]
        self.base = self._made("base", self.plan, say)

    def make_disk_base(self, say=lambda line: None):
        """The base with what boots a disk by BIOS and UEFI, and lets it grow."""
        self.disk_base = self._made("disk", self._plan(outputs=("triplet", "disk")), say)

    @staticmethod
    def _plan(**more):
        return plan_bootstrap(Settings(release=RELEASE, **more), architecture_of(Settings()))

    def _facts(self, name):
        file = self.tools / f"{name}.json"
        return json.loads(file.read_text()) if file.exists() else {}

    def _made(self, name, plan, say):
        tar = self.tools / f"{name}.tar"
        made_of = {"plan": digest_of_plan(plan), "proxy": proxy.ADDRESS, "port": self.proxy_port}
        facts = self._facts(name)
        if not made_of.items() <= facts.items():
            say("bootstrapping the base that all start from")
            facts = {**made_of, "digest": self._bootstrap(plan, tar)}
            (self.tools / f"{name}.json").write_text(json.dumps(facts))
        return Base(tar, facts["digest"])

    def _bootstrap(self, plan, tar):
        root = self.tools / "base.partial"
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        bootstrap(plan, root, lambda line: None)
        if self.counts_downloads():
            (root / "etc/apt/apt.conf.d/90race").write_text(f'Acquire::http::Proxy "{proxy_address(self.proxy_port)}";\n')
        subprocess.run(["tar", "-C", root, *TAR_ALL, "-cf", tar, "."], check=True)
        shutil.rmtree(root)
        return digest_of_file(tar)

    def counts_downloads(self):
        """Whether the mirror can be reached by a proxy that counts."""
        return all(address.startswith("http://") for address, _, _ in self.sources)

    def proxy(self):
        """The proxy's address for a peer that configures its own apt, or nothing."""
        return proxy_address(self.proxy_port) if self.counts_downloads() else ""

    def main_mirror(self):
        """The address of the release itself, without updates and security."""
        return next(address for address, suite, _ in self.sources if suite == RELEASE)

    def cache(self, name):
        path = self.directory / "caches" / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def empty_cache(self, name):
        shutil.rmtree(self.cache(name))

    def has_cache(self, name):
        """Whether a contest has run before."""
        return any(self.cache(name).iterdir())


#: the loop device that diskimage-builder leaves when it is killed: the tmpfs of its file is gone with the race's namespace, and
#: so is the rest of the path
_IN_LOST_TMPFS = "/image0.raw"
#: what a root's tar must keep
TAR_ALL = ["--numeric-owner", "--xattrs", "--xattrs-include=*"]


def proxy_address(port):
    return f"http://{proxy.ADDRESS}:{port}"


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Lap:
    """One run of one contest.

    :ivar Path directory: for its results, on the disk
    :ivar Path memory: for its scratch: a tmpfs, or a plain directory where memory is short
    :ivar Path cache: what it keeps for the next
    :ivar str motd: what /etc/motd of the result must say
    :ivar int number: of the round; 0 is the cold run
    """

    def __init__(self, track, name, motd, number=0):
        self.name, self.motd, self.number = name, motd, number
        self.directory = track.directory / "lap"
        self.memory = self.directory / "memory"
        self.cache = track.cache(name)
        self.log = track.directory / f"{name}.log"

    @contextmanager
    def ready(self):
        """Its directories, empty; gone afterwards."""
        shutil.rmtree(self.directory, ignore_errors=True)
        self.memory.mkdir(parents=True)
        in_memory = meter.free_gib() >= _TMPFS_FREE_GIB
        if in_memory:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755,size=75%", "race", self.memory], check=True)
        try:
            yield
        finally:
            unmount_below(self.directory)
            shutil.rmtree(self.directory, ignore_errors=True)


def unmount_below(directory):
    """Unmount all that is mounted below a directory: a contest that failed may have left the machine's /dev there.

    :raises OSError: if something stays: what is removed there would be removed on the machine
    """
    for _ in range(2):
        points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()]
        below = [point for point in points if Path(point).is_relative_to(directory)]
        for point in reversed(below):  # the last is on top
            subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)
    if below:
        raise OSError(f"{below[-1]} cannot be unmounted")


def clear_leftovers(directory):
    """Detach loop devices of files below the directory, and remove cgroups and directories of a race that was killed."""
    for group in meter.old_cgroups():
        with suppress(OSError):  # that of another race, which runs
            group.rmdir()
    for loop in Path("/sys/block").glob("loop*/loop/backing_file"):
        file = loop.read_text().removesuffix("\n").removesuffix(" (deleted)")
        if Path(file).is_relative_to(directory) or file == _IN_LOST_TMPFS:
            subprocess.run(["losetup", "--detach", f"/dev/{loop.parts[3]}"], check=False)
    shutil.rmtree(directory / "lap", ignore_errors=True)
