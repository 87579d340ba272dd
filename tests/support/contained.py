"""An instance without a processor of its own: its systemd boots in a container, on the disk that a cloud would give it.

It has a network of its own, in which a metadata server answers and this machine's loopback is :data:`HOST`; loop devices are this
machine's.  What only a kernel of its own shows (its ramdisk, its drivers, a config drive) it does not show.
"""

import os
import sys
from contextlib import ExitStack, contextmanager

from instance import TALKATIVE, Watched, write_files
from vmimage.system.shell import run, started
from waiting import wait_until

HOST = "10.0.2.2"  # as slirp4netns calls the loopback outside
METADATA = "169.254.169.254"
_MORE_BYTES = 4 << 30  # what a flavour's disk has beyond the image
_LOOPS = 64
#: mounts the disk for systemd-nspawn alone, and gives it a place for its notes; both end with it
_START = 'mkdir -p /run/systemd && mount -o loop "$1" "$2" && mount -t tmpfs tmpfs /run/systemd && shift 2 && exec "$@"'
_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1",  # the instance mounts what it builds
    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
    "SYSTEMD_SECCOMP": "0",
}


class Contained(Watched):
    """An instance of a triplet.

    :param Triplet triplet: its root image is what it boots from; not changed
    :param Path directory: of its disk and its console
    :param dict files: content by path, such as ``openstack/latest/user_data``
    :param str words: further words of the kernel's command line, as the instance sees it
    """

    def __init__(self, triplet, directory, files, words=""):
        super().__init__(directory / "console")
        self._words = [TALKATIVE, *words.split()]
        self.disk, self._top, self._loops = directory / "disk", directory / "top", directory / "loops"
        self._metadata = write_files(directory / "metadata", files)
        self._top.mkdir()
        self._loops.mkdir()
        for number in range(_LOOPS):
            run(["mknod", self._loops / f"loop{number}", "b", "7", str(number)])
        run(["cp", "--sparse=always", triplet.root_image, self.disk])
        os.truncate(self.disk, self.disk.stat().st_size + _MORE_BYTES)
        run(["e2fsck", "-fp", self.disk], ok=(0, 1))
        run(["resize2fs", self.disk])

    @contextmanager
    def running(self):
        """It runs for the time of the block, on the disk as it was left; its end is that of a machine whose power is cut."""
        argv = ["systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", f"--directory={self._top}"]
        argv += ["--machine=builder", "--capability=all", "--resolv-conf=off", "--bind=/dev/net/tun", "--bind=/dev/loop-control"]
        argv += [f"--bind={self._loops}/loop{number}:/dev/loop{number}" for number in range(_LOOPS)]
        mounting = [
            "unshare",
            "--mount",
            "--propagation=private",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sh",
            "-ec",
            _START,
            "sh",
            self.disk,
            self._top,
        ]
        with ExitStack() as power, open(self.console.with_name("servers.log"), "ab") as log:
            holder = power.enter_context(started(["unshare", "--net", "sleep", "infinity"], log))
            ours = os.readlink("/proc/self/ns/net")
            wait_until(lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != ours)
            inside = ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]
            run([*inside, "ip", "link", "set", "lo", "up"])
            run([*inside, "ip", "address", "add", f"{METADATA}/32", "dev", "lo"])
            power.enter_context(started(["slirp4netns", str(holder.pid), "eth0"], log))
            serving = [sys.executable, "-m", "http.server", "--bind", METADATA, "--directory", self._metadata, "80"]
            power.enter_context(started([*inside, *serving], log))
            self.begin()
            console = power.enter_context(open(self.console, "wb"))
            self._child = power.enter_context(started([*inside, *mounting, *argv, *self._words], console, env=_ENVIRONMENT))
            yield self
        wait_until(lambda: not run(["losetup", "--associated", self.disk]).output)  # the kernel unmounts what nobody has any more
