"""An instance in QEMU, as a cloud gives it out: with a disk that it keeps, userdata, and a way to this machine's loopback.

The guest reaches the loopback at the address :attr:`Place.host`.
"""

import json
import re
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from booting import HANGS_SECONDS
from vmimage.image import qemu
from vmimage.system.shell import run, started

MEMORY_MIB = 2048
#: what systemd says of its units is on the console, too: it tells there what systemctl tells inside
TALKATIVE = "systemd.journald.forward_to_console=1"
DISK_GIB = 20
KVM_SIGN_SECONDS = 15  # a kernel that says nothing for so long under KVM will not start there
PROGRAM = Path(__file__).with_name("metadata_program.py")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


@dataclass(frozen=True)
class Place:
    """What a cloud puts around an instance.

    :ivar str network: options of QEMU's user network
    :ivar str host: this machine's loopback, as the guest sees it
    :ivar list more: further arguments of QEMU
    """

    network: str
    host: str
    more: list = field(default_factory=list)


def with_metadata_server(directory, files):
    """A place with a metadata server.

    :param dict files: content by path, such as ``openstack/latest/user_data``
    """
    top = write_files(directory / "metadata", files)
    # QEMU splits the command at blanks, and its options at commas
    server = f"guestfwd=tcp:169.254.169.254:80-cmd:{sys.executable} {PROGRAM} {top}"
    return Place(f"net=169.254.169.0/24,host=169.254.169.2,dns=169.254.169.3,dhcpstart=169.254.169.15,{server}", "169.254.169.2")


def with_config_drive(directory, files):
    """A place with a config drive, as OpenStack makes it: an ISO labelled config-2."""
    top, image = write_files(directory / "drive", files), directory / "drive.iso"
    subprocess.run(["genisoimage", "-quiet", "-output", image, "-volid", "config-2", "-joliet", "-rock", top], check=True)
    return Place("ipv6=off", "10.0.2.2", ["-drive", f"file={image},format=raw,if=virtio,readonly=on"])


def write_files(top, files):
    """Write what a cloud tells below a directory, and return that."""
    top.mkdir(exist_ok=True)
    for name, text in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text, encoding="utf-8")
    return top


def openstack_files(userdata):
    """What OpenStack tells an instance."""
    about = json.dumps({"uuid": "d8e02d56-2648-49a3-bf97-6be8f1204f38", "hostname": "builder", "name": "builder"})
    return {"openstack/latest/meta_data.json": about, "openstack/latest/user_data": userdata}


def ec2_files(userdata):
    """What EC2 tells an instance."""
    return {"latest/meta-data/instance-id": "i-0123456789abcdef0", "latest/user-data": userdata}


class Watched:
    """A machine that runs as a process of ours, and its console.

    :param Path console: the file that takes what it says
    :ivar list seen: ``(seconds since the last start, line of the console)``
    """

    def __init__(self, console):
        self.console, self.seen, self._child = console, [], None

    def begin(self):
        """It starts now."""
        self.console.unlink(missing_ok=True)
        self.seen, self._begun = [], time.monotonic()

    def seconds(self):
        return time.monotonic() - self._begun

    def is_off(self):
        return self._child.poll() is not None

    def look(self):
        """Note what is new on the console, and when it was."""
        text = self.console.read_bytes().decode(errors="replace") if self.console.exists() else ""
        lines = _CONTROL.sub("", text).split("\n")[:-1]
        now = self.seconds()
        self.seen += [(now, line) for line in lines[len(self.seen) :]]

    def wait_for(self, pattern, seconds):
        """The match of the first line that holds the pattern; waits for it."""
        while True:
            off = self.is_off()
            self.look()
            for _, line in self.seen:
                if found := re.search(pattern, line):
                    return found
            assert not off, f"it is off, and never said {pattern}:\n{self.said(40)}"
            assert self.seconds() < seconds, f"in {seconds} s it did not say {pattern}:\n{self.said(40)}"
            time.sleep(0.2)

    def wait_until_off(self, seconds):
        """Until the guest has switched itself off."""
        deadline = time.monotonic() + seconds
        while not self.is_off():
            assert time.monotonic() < deadline, f"it is still on:\n{self.said(20)}"
            time.sleep(0.2)
        self.look()

    def said(self, lines):
        """The end of the console."""
        return "\n".join(line for _, line in self.seen[-lines:])

    def when(self, pattern):
        """The seconds from the start at which the console said something, or None."""
        return next((round(at, 1) for at, line in self.seen if re.search(pattern, line)), None)


class Instance(Watched):
    """An instance of a triplet.

    :param Triplet triplet: what it boots from; not changed
    :param Path directory: of its disk and its console
    :param Place place:
    """

    def __init__(self, triplet, directory, place, **options):
        self.triplet, self.place, self.options = triplet, place, {"memory_mib": MEMORY_MIB, "words": TALKATIVE, **options}
        super().__init__(directory / "console")
        self.disk, self.log = directory / "disk", directory / "qemu.log"
        run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", triplet.root_image, self.disk, f"{DISK_GIB}G"])

    @contextmanager
    def running(self):
        """It runs for the time of the block, on the disk as it was left; its end is that of a machine whose power is cut."""
        with ExitStack() as power:
            tried = qemu.accelerators()
            for accelerator in tried:
                self.begin()
                argv = qemu.qemu_argv(
                    self.triplet,
                    self.disk,
                    accelerator,
                    self.console,
                    more=self.place.more,
                    network=self.place.network,
                    **self.options,
                )
                log = power.enter_context(open(self.log, "ab"))
                self._child = power.enter_context(started(argv, log))
                if accelerator == "tcg" or self._says_anything(KVM_SIGN_SECONDS):
                    if accelerator != tried[0] and self._says_anything(HANGS_SECONDS):
                        qemu.give_kvm_up()
                    break
                power.close()
            yield self

    def _says_anything(self, seconds):
        while self.seconds() < seconds and not self.is_off():
            if self.console.exists() and self.console.stat().st_size:
                return True
            time.sleep(0.05)
        return False
