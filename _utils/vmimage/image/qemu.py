"""Booting a triplet or a whole disk in QEMU for inspection, as a cloud would, the image not changed.

Kernel, ramdisk and root image of a triplet are given apart; a disk is booted by the firmware: its loader, not QEMU, finds the kernel.
"""

import os
import platform
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from vmimage.errors import BootFailed, NotReady, printable
from vmimage.image.login import PORT as login_port
from vmimage.image.login import Login
from vmimage.image.triplet import Manifest, Triplet
from vmimage.system.aliases import Say, StrPath
from vmimage.system.shell import run, started

_MEMORY_MIB = 1024
_DISK_GIB = 20  # a flavour of a common size: the root grows into it
_KVM_SIGN_SECONDS = 15  # a kernel that says nothing for so long under KVM will not start there
#: there since the emulator booted what had said nothing under KVM: no later boot tries that again before the machine restarts
_KVM_IS_SILENT = Path("/run/vm_create.kvm-is-silent")
#: where a processor is emulated: of what the kernel needs little, so that little is to be emulated; arm64 has no such choice
_EMULATED = {"x86_64": "Nehalem", "aarch64": "max"}
#: its kernel need not guard against what only real processors leak
_UNGUARDED = "mitigations=off"
_MACHINES = {
    "x86_64": ["qemu-system-x86_64", "-machine", "q35"],
    "aarch64": ["qemu-system-aarch64", "-machine", "virt"],
}
#: answers of a port that are none
REFUSED, SILENT = "refused", "silent"
_PROBE_SECONDS = 10  # for services that come up after the login prompt, however late that was
_SILENT_SECONDS = 5
_HTTP = "GET / HTTP/1.0\r\n\r\n"
_FAILED = re.compile(r"\[FAILED\] Failed to (?:start|listen on|mount) (\S+)")
_ESCAPES = re.compile(
    r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\))"
)  # of colours, of the cursor, and of the terminal's own settings
_CONSOLE = {"x86_64": "ttyS0", "aarch64": "ttyAMA0"}
#: UEFI in a file that QEMU loads as its BIOS, and the package that has it; x86 has SeaBIOS without that
_UEFI = {
    "x86_64": ("/usr/share/ovmf/OVMF.fd", "ovmf"),
    "aarch64": ("/usr/share/qemu-efi-aarch64/QEMU_EFI.fd", "qemu-efi-aarch64"),
}


@dataclass(frozen=True)
class Disk:
    """A whole disk to boot.

    :ivar format: raw or qcow2
    :ivar firmware: bios or uefi
    """

    name: str
    path: Path
    format: str
    firmware: str


def _boot_words(target: Triplet | Disk, words: str) -> list[StrPath]:
    """The arguments that say what is booted."""
    machine = platform.machine()
    if isinstance(target, Triplet):
        append = f"root=/dev/vda rw console={_CONSOLE[machine]} net.ifnames=0 {words}".rstrip()
        return ["-kernel", target.kernel, "-initrd", target.ramdisk, "-append", append]
    return ["-bios", _UEFI[machine][0]] if target.firmware == "uefi" else []


def disk_of(triplet: Triplet, manifest: Manifest, firmware: str) -> Disk:
    """The whole disk among the outputs of a build.

    :param manifest: of the triplet
    :param firmware: bios or uefi
    :raises NotReady: naming what the build does not have
    """
    facts = (manifest.get("outputs") or {}).get("disk")
    if not facts:
        raise NotReady(f"{triplet.name} has no disk", hint="build it with disk among ami.outputs")
    if firmware not in facts["firmware"]:
        raise NotReady(
            f"the disk of {triplet.name} does not boot by {firmware}", hint=f"it boots by {', '.join(facts['firmware'])}"
        )
    return Disk(f"{triplet.name} (disk, {firmware})", triplet.directory / facts["path"], facts["disk_format"], firmware)


def check_firmware(name: str, firmware: str) -> None:
    """Refuse to boot a disk on a machine without the disk's firmware.

    :param name: of the disk, for the message
    """
    path, package = _UEFI[platform.machine()]
    if firmware == "uefi" and not Path(path).exists():
        raise NotReady(f"{name} boots by UEFI, and {path} is not there", hint=f"apt-get install {package}")


def program() -> str:
    """The program that boots a triplet on this machine."""
    return _MACHINES[platform.machine()][0]


def accelerators() -> list[str]:
    """What to try, the faster first."""
    has_kvm = os.access("/dev/kvm", os.R_OK | os.W_OK) and not _KVM_IS_SILENT.exists()
    return ["kvm", "tcg"] if has_kvm else ["tcg"]


def give_kvm_up() -> None:
    """Remember, until this machine restarts, that KVM has started nothing of what the emulator boots."""
    with suppress(OSError):  # then the next boot waits again
        _KVM_IS_SILENT.touch()


def qemu_argv(
    target: Triplet | Disk,
    disk: Path,
    accelerator: str,
    console: Path,
    forwards: Iterable[tuple[int, int]] = (),
    more: Iterable[StrPath] = (),
    *,
    memory_mib: int = _MEMORY_MIB,
    network: str = "restrict=on",
    words: str = "",
) -> list[StrPath]:
    """The command line that boots a triplet or a disk.

    :param disk: qcow2 over its image
    :param accelerator: kvm or tcg
    :param console: file that takes the first serial line
    :param forwards: ``(port of 127.0.0.1, port of the guest)``
    :param more: further arguments
    :param network: options of QEMU's user network; by default the guest reaches no other machine
    :param words: further words for the command line of a triplet's kernel
    """
    machine = platform.machine()
    forward = "".join(f",hostfwd=tcp:127.0.0.1:{ours}-:{guests}" for ours, guests in forwards)
    acceleration = ["-accel", "kvm", "-cpu", "host"]
    if accelerator == "tcg":
        acceleration, words = ["-accel", "tcg,thread=multi", "-cpu", _EMULATED[machine]], f"{_UNGUARDED} {words}"
    return [
        *_MACHINES[machine], *acceleration,
        "-smp", "2", "-m", str(memory_mib), "-nodefaults", "-display", "none", "-no-reboot",
        *_boot_words(target, words),
        "-drive", f"file={disk},format=qcow2,if=virtio,cache=unsafe",
        "-netdev", f"user,id=net0,{network}{forward}", "-device", "virtio-net-pci,netdev=net0",
        "-device", "virtio-rng-pci", "-serial", f"file:{console}", *more,
    ]  # fmt: skip


class Running(NamedTuple):
    """A triplet that has come up.

    :ivar accelerator: kvm or tcg
    :ivar seconds: that it took
    :ivar console: the file that its first serial line is written to
    :ivar program: QEMU
    """

    accelerator: str
    seconds: float
    console: Path
    program: subprocess.Popen[bytes]


@contextmanager
def booted(
    target: Triplet | Disk,
    is_up: Callable[[str], bool],
    seconds: float,
    forwards: Iterable[tuple[int, int]] = (),
    more: Iterable[StrPath] = (),
    words: str = "",
) -> Iterator[Running]:
    """A triplet or disk that runs for the time of the block, once it is up.

    :param is_up: takes the console's text, says whether to go on
    :param seconds: how long to wait for that
    :param words: further words for the kernel's command line
    :raises BootFailed: with the end of the console
    """
    image, kind = (target.path, target.format) if isinstance(target, Disk) else (target.root_image, "raw")
    if isinstance(target, Disk):
        check_firmware(target.name, target.firmware)
    with tempfile.TemporaryDirectory(prefix="vm_create-boot-") as directory:
        was_silent = False
        for accelerator in accelerators():
            console, disk = Path(directory) / f"console-{accelerator}", Path(directory) / f"disk-{accelerator}"
            run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", kind, "-b", image, disk, f"{_DISK_GIB}G"])
            with open(Path(directory) / "qemu.log", "w+b") as log:
                argv = qemu_argv(target, disk, accelerator, console, forwards, more, words=words)
                with started(argv, log) as child:
                    begun = time.monotonic()
                    if _wait(child, console, is_up, seconds, must_speak=accelerator == "kvm"):
                        if was_silent:
                            give_kvm_up()
                        yield Running(accelerator, time.monotonic() - begun, console, child)
                        return
                    was_silent = child.poll() is None and not read_console(console)
                log.seek(0)
                said = log.read().decode(errors="replace")
        end = "".join(f"\n    {line}" for line in (read_console(console).splitlines() + said.splitlines())[-15:])
        raise BootFailed(
            f"{target.name} did not come up in {seconds} s:{end}", hint="boot it with more seconds, or look at the console above"
        )


def _wait(child: subprocess.Popen[bytes], console: Path, is_up: Callable[[str], bool], seconds: float, must_speak: bool) -> bool:
    begun = time.monotonic()
    while child.poll() is None and time.monotonic() - begun < seconds:
        text = read_console(console)
        if is_up(text):
            return True
        if must_speak and not text and time.monotonic() - begun > _KVM_SIGN_SECONDS:
            return False
        time.sleep(0.1)
    return False


def read_console(console: Path) -> str:
    """What a guest has written so far."""
    return console.read_text(encoding="utf-8", errors="replace") if console.exists() else ""


@contextmanager
def held_ports(count: int) -> Iterator[list[int]]:
    """TCP ports of the loopback that nobody but QEMU gets for the time of the block: it takes them over, for it binds with SO_REUSEADDR."""
    with ExitStack() as holders:
        ports = []
        for _ in range(count):
            holder = holders.enter_context(socket.socket())
            holder.bind(("127.0.0.1", 0))
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            ports.append(holder.getsockname()[1])
        yield ports


def look(
    target: Triplet | Disk,
    seconds: float,
    ports: Iterable[int],
    *,
    waits: bool = True,
    login: Login | None = None,
    stay_seconds: float = 0,
    say: Say = lambda line: None,
) -> dict[str, Any]:
    """Boot to the login prompt and probe some ports.

    :param waits: until the seconds are over for ports that are refused; else some seconds
    :param say: takes a line as soon as there is something to know
    :param login: a key that root can log in by; how is said when it is up, and its port is waited for
    :param stay_seconds: for so long it stays up, unless it is powered off
    :returns: ``seconds``, ``accelerator``, ``answers`` (of each port what :func:`probe` says), ``failed`` (units that did not start) and the
        end of the ``console``
    """
    guests = list(dict.fromkeys([*ports, *([login_port] if login else [])]))
    words = login.words if login and isinstance(target, Triplet) else ""
    more = login.machine if login and isinstance(target, Disk) else []
    say(f"booting {target.name}: its login prompt has {seconds:.0f} s to appear")
    with ExitStack() as opened:
        forwards = dict(zip(guests, opened.enter_context(held_ports(len(guests))), strict=True))
        pairs = [(ours, port) for port, ours in forwards.items()]
        up = opened.enter_context(booted(target, lambda text: "login:" in text, seconds, pairs, more, words))
        begun, left = time.monotonic(), seconds - up.seconds
        answers = {}
        for port, ours in forwards.items():
            patience = left if waits or (login and port == login_port) else 0
            answers[port] = probe(ours, _HTTP if port in (80, 8080) else "", begun + max(_PROBE_SECONDS, patience))
        text = _ESCAPES.sub("", read_console(up.console))
        is_shut = login is not None and answers[login_port] == REFUSED
        if login:
            say(f"no sshd answers on port {login_port}" if is_shut else f"log in: {login.command(forwards[login_port])}")
        if stay_seconds and not is_shut:
            _stay(up, forwards, stay_seconds, say)
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return {
        "seconds": round(up.seconds, 1),
        "accelerator": up.accelerator,
        "answers": answers,
        "failed": sorted({printable(found) for found in _FAILED.findall(text)}),
        "console": [printable(line) for line in lines[-5:]],
    }


def _stay(up: Running, forwards: Mapping[int, int], seconds: float, say: Say) -> None:
    """Wait until an instance is powered off, or the seconds are over."""
    ports = ", ".join(f"port {port} is 127.0.0.1:{ours}" for port, ours in forwards.items())
    say(f"it stays up for {seconds:.0f} s, or until you power it off{'; ' if ports else ''}{ports}")
    with suppress(subprocess.TimeoutExpired):
        up.program.wait(seconds)


def unanswered(seen: Mapping[str, Any]) -> list[int]:
    """The ports of :func:`look` that nobody listens on."""
    return [port for port, answer in seen["answers"].items() if answer == REFUSED]


def probe(port: int, words: str, deadline: float) -> str:
    """The first line that somebody behind a port of the loopback answers.

    :param words: what to say first
    :param deadline: by the monotonic clock: so long a service may take to come up
    :returns: the line; ``silent`` where the connection is taken and nothing is said, ``refused`` where nobody takes it until the deadline
    """
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=_SILENT_SECONDS) as connection:
                connection.sendall(words.encode())
                answer = connection.recv(4096).decode(errors="replace").splitlines()
                if answer:
                    return printable(answer[0].strip()) or SILENT
        except TimeoutError:
            return SILENT
        except OSError:  # QEMU takes each connection, and ends those that the guest refuses
            pass
        if time.monotonic() > deadline:
            return REFUSED
        time.sleep(0.5)
