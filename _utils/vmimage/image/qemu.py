"""Booting a triplet in QEMU for a look, as a cloud would: kernel, ramdisk and root image given apart, the image not changed."""

import os
import platform
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vmimage.errors import BootFailed, printable
from vmimage.image.triplet import Triplet
from vmimage.system.aliases import StrPath
from vmimage.system.shell import run, started

_MEMORY_MIB = 1024
_DISK_GIB = 20  # a flavour of a common size: the root grows into it
_KVM_SIGN_SECONDS = 15  # a kernel that says nothing for so long under KVM will not start there
#: where a processor is emulated: of what the kernel needs little, so that little is to be emulated; arm64 has no such choice
_EMULATED = {"x86_64": "Nehalem", "aarch64": "max"}
#: its kernel need not guard against what only real processors leak
_UNGUARDED = "mitigations=off"
_MACHINES = {
    "x86_64": ["qemu-system-x86_64", "-machine", "q35"],
    "aarch64": ["qemu-system-aarch64", "-machine", "virt"],
}
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_CONSOLE = {"x86_64": "ttyS0", "aarch64": "ttyAMA0"}


def program() -> str:
    """The program that boots a triplet on this machine."""
    return _MACHINES[platform.machine()][0]


def accelerators() -> list[str]:
    """What to try, the faster first."""
    return ["kvm", "tcg"] if os.access("/dev/kvm", os.R_OK | os.W_OK) else ["tcg"]


def qemu_argv(
    triplet: Triplet,
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
    """The command line that boots a triplet.

    :param disk: qcow2 over its root image
    :param accelerator: kvm or tcg
    :param console: file that takes the first serial line
    :param forwards: ``(port of 127.0.0.1, port of the guest)``
    :param more: further arguments
    :param network: options of QEMU's user network; by default the guest reaches no other machine
    :param words: further words for the kernel's command line
    """
    machine = platform.machine()
    forward = "".join(f",hostfwd=tcp:127.0.0.1:{ours}-:{guests}" for ours, guests in forwards)
    acceleration = ["-accel", "kvm", "-cpu", "host"]
    if accelerator == "tcg":
        acceleration, words = ["-accel", "tcg,thread=multi", "-cpu", _EMULATED[machine]], f"{_UNGUARDED} {words}"
    return [
        *_MACHINES[machine], *acceleration,
        "-smp", "2", "-m", str(memory_mib), "-nodefaults", "-display", "none", "-no-reboot",
        "-kernel", triplet.kernel, "-initrd", triplet.ramdisk,
        "-append", f"root=/dev/vda rw console={_CONSOLE[machine]} net.ifnames=0 {words}".rstrip(),
        "-drive", f"file={disk},format=qcow2,if=virtio,cache=unsafe",
        "-netdev", f"user,id=net0,{network}{forward}", "-device", "virtio-net-pci,netdev=net0",
        "-device", "virtio-rng-pci", "-serial", f"file:{console}", *more,
    ]  # fmt: skip


@contextmanager
def booted(
    triplet: Triplet,
    is_up: Callable[[str], bool],
    seconds: float,
    forwards: Iterable[tuple[int, int]] = (),
    more: Iterable[StrPath] = (),
) -> Iterator[tuple[str, float, Path]]:
    """A triplet that runs for the time of the block, once it is up.

    :param is_up: takes the console's text, says whether to go on
    :param seconds: how long to wait for that
    :returns: ``(accelerator, seconds it took, path of the console)``
    :raises BootFailed: with the end of the console
    """
    with tempfile.TemporaryDirectory(prefix="vm_create-boot-") as directory:
        for accelerator in accelerators():
            console, disk = Path(directory) / f"console-{accelerator}", Path(directory) / f"disk-{accelerator}"
            run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", triplet.root_image, disk, f"{_DISK_GIB}G"])
            with open(Path(directory) / "qemu.log", "w+b") as log:
                with started(qemu_argv(triplet, disk, accelerator, console, forwards, more), log) as child:
                    begun = time.monotonic()
                    if _wait(child, console, is_up, seconds, must_speak=accelerator == "kvm"):
                        yield accelerator, time.monotonic() - begun, console
                        return
                log.seek(0)
                said = log.read().decode(errors="replace")
        end = "".join(f"\n    {line}" for line in (read_console(console).splitlines() + said.splitlines())[-15:])
        raise BootFailed(
            f"{triplet.name} did not come up in {seconds} s:{end}", hint="boot it with more seconds, or look at the console above"
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


def free_port() -> int:
    """A TCP port of the loopback that no program listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def look(triplet: Triplet, seconds: float, ports: Iterable[int]) -> dict[str, Any]:
    """Boot to the login prompt and say hello to some ports.

    :returns: seconds, accelerator, answers and the end of the console
    """
    forwards = [(free_port(), port) for port in ports]
    with booted(triplet, lambda text: "login:" in text, seconds, forwards) as (accelerator, took, console):
        answers = {port: greet(ours, "GET / HTTP/1.0\r\n\r\n" if port in (80, 8080) else "") for ours, port in forwards}
        lines = [line.rstrip() for line in _COLOURS.sub("", read_console(console)).splitlines() if line.strip()]
    return {
        "seconds": round(took, 1),
        "accelerator": accelerator,
        "answers": answers,
        "console": [printable(line) for line in lines[-5:]],
    }


def greet(port: int, words: str, tries: int = 20) -> str:
    """The first line that a program behind a port of the loopback answers, or an empty string."""
    for _ in range(tries):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=3) as connection:
                connection.sendall(words.encode())
                answer = connection.recv(4096).decode(errors="replace").splitlines()
                if answer:
                    return answer[0].strip()
        except OSError:
            pass
        time.sleep(0.5)
    return ""
