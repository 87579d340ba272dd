"""A root that runs as a machine while it is varied (``ami.live``): systemd-nspawn boots it, the states run as a service of it, it is powered off.

It boots to a target of ours that wants nothing but systemd's own beginning (the journal, the directories of ``/run``) and D-Bus:
no getty, no ssh, no cloud-init, no timers, and none of the services that the base has enabled.  What the states start is started.
It has the network of the namespace that we are in.  All that is ours lies on its ``/run``.
"""

import os
import re
import select
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vmimage.errors import CommandFailed, NotReady, VariationFailed
from vmimage.root import files
from vmimage.root.mounts import ROOT_ENVIRONMENT
from vmimage.root.name_servers import link_into_run
from vmimage.root.runtime import HOME, write_program
from vmimage.system import syscalls
from vmimage.system.aliases import Argv, Say
from vmimage.system.confine import MOUNTING, TO_ENTER, confine, filter_code
from vmimage.system.groups import enter_groups, own_groups
from vmimage.system.shell import Finished, run, started

_NEEDED = {
    "systemd": ("/usr/lib/systemd/systemd", "/lib/systemd/systemd"),
    "systemd-run": ("/usr/bin/systemd-run", "/bin/systemd-run"),
    "D-Bus": ("/usr/lib/systemd/system/dbus.socket", "/lib/systemd/system/dbus.socket"),
}
_BOOT_SECONDS, _POWER_OFF_SECONDS = 120, 300
#: here systemd-nspawn keeps its notes; in our namespace a tmpfs, on which all of ours is, too
_NOTES = "/run/systemd/nspawn"
_TOP = f"{_NOTES}/vm_create"
_TARGET = "vm_create.target"
_UNITS = {
    _TARGET: """[Unit]
Description=The variation can be applied
Requires=sysinit.target
Wants=dbus.socket
After=sysinit.target dbus.socket
AllowIsolate=yes
""",
    # what a boot makes below /etc and /var is made at the first boot of the image; nologin would end at a target that is never reached
    "systemd-tmpfiles-setup.service.d/vm_create.conf": """[Service]
ExecStart=
ExecStart=systemd-tmpfiles --create --boot --prefix=/run --prefix=/tmp --exclude-prefix=/run/nologin
""",
}
_JOURNAL = "[Journal]\nStorage=volatile\n"
#: the targets of a boot up to ours, and what of all that they want is started
_TARGETS = ("sysinit", "local-fs", "local-fs-pre", "swap", "cryptsetup", "veritysetup", "integritysetup")
_STARTED = ("systemd-journald", "systemd-tmpfiles-setup.service", "dev-mqueue.mount")
_UNIT_PLACES = ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
#: generators of systemd's own that run at each daemon-reload, a few in a package's installation; what they look at, and nothing where that
#: is settled for as long as the machine runs: its arguments, or that it is a container, where a getty for the console is all they find
_GENERATORS = {
    "cryptsetup": "/etc/crypttab",
    "integritysetup": "/etc/integritytab",
    "veritysetup": "/etc/veritytab",
    "rc-local": "/etc/rc.local",
    "system-update": "/system-update",
    **dict.fromkeys(("bless-boot", "debug", "fstab", "getty", "gpt-auto", "hibernate-resume", "run"), ""),
}
_GENERATOR_PLACES = ("/usr/lib/systemd/system-generators", "/lib/systemd/system-generators")
_OWN_GENERATOR_PLACES = ("/etc/systemd/system-generators", "/usr/local/lib/systemd/system-generators")
_GENERATOR = """#!/bin/sh
[ ! -e {looks_at} ] || exec {generator} "$@"
"""
#: for systemd as it boots: nothing is brought up to date for a new /usr, and the base's fstab and cloud-init are left alone
_ARGUMENTS = (f"systemd.unit={_TARGET}", "systemd.condition-needs-update=no", "fstab=no", "cloud-init=disabled")
#: a machine could make the nodes of the builder's disks with the first, and open their files by number with the second
_DROPPED = "CAP_MKNOD,CAP_DAC_READ_SEARCH"
#: what systemd-nspawn lets through, and programs in other roots do not get either
_REFUSED = "userfaultfd io_uring_setup io_uring_enter io_uring_register"
#: of systemd-nspawn; a systemd from 256 on runs with control groups of version 2 only, whatever the builder has
_ENVIRONMENT = {"PATH": ROOT_ENVIRONMENT["PATH"], "LC_ALL": "C.UTF-8", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
#: by which systemd tells a service that it is its; who calls Salt on a machine has none, and jobs of at keep what they find
_VARIABLES = "INVOCATION_ID JOURNAL_STREAM SYSTEMD_EXEC_PID MEMORY_PRESSURE_WATCH MEMORY_PRESSURE_WRITE"
_MACHINE_ID, _ID = "/etc/machine-id", re.compile(r"[0-9a-f]{32}\n?")
#: what a machine that runs leaves, and an image in whose making none ran does not have
_TRACES = ("/var/lib/systemd/timers/*", "/var/lib/systemd/timesync/*", "/etc/.updated", "/var/.updated")
_EMPTY_TRACES = ("/var/lib/systemd/timers", "/var/lib/systemd/timesync", "/var/lib/systemd/linger")
_FAILED_UNITS = """systemctl --failed --plain --no-legend | cut -d" " -f1 | while read -r unit; do
    echo "the journal of $unit, which failed:"; journalctl --no-pager --quiet --output=cat --lines=30 --unit="$unit"
done"""


def check_base(root: Path) -> None:
    """Refuse a mounted root that cannot run as a machine.

    :raises NotReady: naming what it lacks
    """
    for what, places in _NEEDED.items():
        if not any(files.exists(root, place) for place in places):
            raise NotReady(
                f"the base has no {what}: it cannot run as a machine (ami.live)",
                hint="install the packages systemd and dbus in the base, or build without ami.live",
            )


class Machine:
    """A machine that runs.

    :param leader: the pid of its first process
    """

    def __init__(self, leader: int) -> None:
        self.leader = leader

    def run(self, argv: Argv, *, env: Mapping[str, str] | None = None, on_line: Say | None = None) -> Finished:
        """Run a program as a service of the machine, to its end; see :func:`vmimage.system.shell.run`."""
        environment = {key: value for key, value in {**ROOT_ENVIRONMENT, **(env or {})}.items() if key != "SYSTEMD_OFFLINE"}
        words = [f"--setenv={key}={value}" for key, value in environment.items()]
        properties = ["--property=TasksMax=infinity", f"--property=UnsetEnvironment={_VARIABLES}"]
        start = ["systemd-run", "--pipe", "--wait", "--quiet", "--collect", *properties, *words, "--"]
        try:
            finished = self._run([*start, *argv], on_line=on_line)
        except CommandFailed as error:
            self._check_up()
            raise CommandFailed(argv, error.code, error.output) from error
        self._check_up()
        return finished

    def _check_up(self) -> None:
        """Refuse what a machine did that is on its way down: its services were stopped before they were done."""
        try:
            state = self._run(["systemctl", "is-system-running"], ok=(0, 1)).output.strip()
        except CommandFailed:
            state = "stopping"
        if state in ("stopping", "offline"):
            raise VariationFailed(
                "the machine ended while the states ran",
                hint="let what reboots it or powers it off be done at the first boot, or leave it out of the variation",
            )

    def tell_failed_units(self, say: Say) -> None:
        """Hand out the last lines of the journal of each unit that failed: it is gone with the machine."""
        with suppress(CommandFailed):
            self._run(["sh", "-c", _FAILED_UNITS], on_line=say)

    def set_hostname(self, hostname: str) -> None:
        """What the kernel calls the machine; the image's own name is in its files."""
        write = 'printf %s "$1" > /proc/sys/kernel/hostname'  # the program hostname refuses what a minion may be called
        run(["nsenter", f"--target={self.leader}", "--uts", "sh", "-c", write, "sh", hostname[:64]])

    def _run(self, argv: Argv, **options: Any) -> Finished:
        """Run a program of the machine in it, which may be whatever a state has made of it: with no more than it has there."""
        words = [f"{key}={value}" for key, value in ROOT_ENVIRONMENT.items() if key != "SYSTEMD_OFFLINE"]
        entering = ["nsenter", f"--target={self.leader}", "--all", "env", "-i", *words]
        code = filter_code("setns", *MOUNTING)
        return run([*entering, *argv], preexec=lambda: confine(code, TO_ENTER), **options)


@contextmanager
def booted(root: Path, hostname: str, group: str) -> Iterator[Machine]:
    """The machine of a root with its API file systems for the time of the block.  For a private namespace only: not all is unmounted.

    What was shown to the root below ``/run/vm_create`` is on the machine's ``/run``.

    :param hostname: what the machine is called
    :param group: name of its control groups
    :raises NotReady: with what systemd-nspawn says, if it does not boot
    """
    os.makedirs(_NOTES, exist_ok=True)
    syscalls.mount("tmpfs", _NOTES, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=755")
    _bind_root(root)
    argv = [
        "systemd-nspawn",
        "--quiet",
        "--boot",
        "--register=no",
        "--keep-unit",
        "--notify-ready=yes",
        f"--directory={_TOP}/root",
    ]
    argv += ["--machine=vm-create", "--resolv-conf=off", "--timezone=off", "--link-journal=no", f"--drop-capability={_DROPPED}"]
    argv += [f"--system-call-filter=~{_REFUSED}"]
    argv += [f"--bind={_escaped(source)}:{_escaped(target)}" for source, target in _shown(root)]
    with (
        own_groups(group) as groups,
        _traces_removed(root),
        open(f"{_TOP}/console", "wb") as console,
        _notified() as (at, notices),
    ):
        environment = {**_ENVIRONMENT, "NOTIFY_SOCKET": at}
        with started([*argv, *_ARGUMENTS], console, env=environment, preexec=lambda: enter_groups(groups)) as nspawn:
            machine = Machine(_wait_for_boot(nspawn, notices))
            machine.set_hostname(hostname)
            _want_as_ever()
            yield machine
            _power_off(machine, nspawn)


def _bind_root(root: Path) -> None:
    """Show the disk without the API file systems, of which the machine makes its own, and that beside it."""
    for source, name in ((root, "root"), (f"{root}/run", "run"), (f"{root}/dev", "dev")):
        os.makedirs(f"{_TOP}/{name}")
        syscalls.mount(source, f"{_TOP}/{name}", flags=syscalls.MS_BIND | syscalls.MS_REC)
    for name in ("proc", "sys", "run", "tmp", "dev"):
        syscalls.umount(f"{_TOP}/root/{name}", syscalls.MNT_DETACH)


def _escaped(path: str) -> str:
    """A path in an option of systemd-nspawn, where a colon separates."""
    return path.replace("\\", "\\\\").replace(":", "\\:")


def _shown(root: Path) -> Iterator[tuple[str, str]]:
    """``(source, target)`` of what the machine sees besides its disk."""
    for name, texts in _configuration(root).items():
        for path, text in texts.items():
            place = Path(_TOP, name, path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
        yield f"{_TOP}/{name}", f"/run/systemd/{name}"
    Path(_TOP, "system.control").mkdir()
    _want_little(root)
    yield f"{_TOP}/system.control", "/run/systemd/system.control"
    _generate_little(root)
    yield f"{_TOP}/system-generators", "/run/systemd/system-generators"
    yield f"{_TOP}{HOME}", HOME
    if servers := _place_of_name_servers(root):
        yield f"{_TOP}{servers}", servers
    for name in ("disk", *(name for name in os.listdir(f"{root}/dev") if name.startswith("vm_create-"))):
        if os.path.exists(f"{root}/dev/{name}"):  # in which update-grub finds the root
            yield f"{_TOP}/dev/{name}", f"/dev/{name}"


def _configuration(root: Path) -> dict[str, dict[str, str]]:
    servers = " ".join(
        line.split()[1] for line in files.read_text(root, "/etc/resolv.conf", "").splitlines() if line.startswith("nameserver ")
    )
    return {
        "system": _UNITS,
        "journald.conf.d": {"vm_create.conf": _JOURNAL},
        "resolved.conf.d": {"vm_create.conf": f"[Resolve]\nDNS={servers}\nDomains=~.\n"},  # for a state that starts it
    }


def _place_of_name_servers(root: Path) -> str | None:
    """The directory, or the file, below /run that a resolv.conf which is a link leads to."""
    target = link_into_run(root)
    return None if not target else target if os.path.dirname(target) == "/run" else os.path.dirname(target)


def _want_little(root: Path) -> None:
    """Let the targets of the boot want no more than ours needs: such a link to nowhere hides what others have there."""
    for target in _TARGETS:
        for kind in ("wants", "requires"):
            below = f"{target}.target.{kind}"
            names = {name for place in _UNIT_PLACES for name in files.list_directory(root, f"{place}/{below}")}
            Path(_TOP, "system.control", below).mkdir()
            for name in names:
                if not name.startswith(_STARTED):
                    os.symlink("/dev/null", f"{_TOP}/system.control/{below}/{name}")


def _generate_little(root: Path) -> None:
    """Let no generator start that would find nothing: each takes a hundredth of a second or two, a dozen at every daemon-reload."""
    top = Path(_TOP, "system-generators")
    top.mkdir()
    for word, looks_at in _GENERATORS.items():
        name = f"systemd-{word}-generator"
        found = [f"{place}/{name}" for place in _GENERATOR_PLACES if files.exists(root, f"{place}/{name}")]
        if not found or any(files.lstat(root, f"{place}/{name}") for place in _OWN_GENERATOR_PLACES):
            continue
        if looks_at:
            write_program(top / name, _GENERATOR.format(looks_at=looks_at, generator=found[0]))
        else:
            (top / name).symlink_to("/dev/null")


def _want_as_ever() -> None:
    """The targets are reached: what a state asks of them or of their units finds the root's own."""
    for below in Path(_TOP, "system.control").iterdir():
        for link in below.iterdir():
            link.unlink()
        below.rmdir()


@contextmanager
def _notified() -> Iterator[tuple[str, socket.socket]]:
    """A socket at which systemd-nspawn says how far the machine is; yields its path and it."""
    path = f"{_TOP}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notices:
        notices.bind(path)
        yield path, notices


def _wait_for_boot(nspawn: subprocess.Popen[bytes], notices: socket.socket) -> int:
    """The pid of the machine's first process, when the machine is up."""
    deadline, leader = time.monotonic() + _BOOT_SECONDS, 0
    gone = os.pidfd_open(nspawn.pid)
    sources: list[Any] = [notices, gone]  # a socket and a number
    try:
        while (left := deadline - time.monotonic()) > 0:
            ready = select.select(sources, [], [], left)[0]
            if notices in ready:
                words = dict(line.partition("=")[::2] for line in notices.recv(65536).decode(errors="replace").splitlines())
                leader = int(words.get("X_NSPAWN_LEADER_PID", leader))
                if words.get("READY") == "1" and leader:
                    return leader
            elif gone in ready:
                break
    finally:
        os.close(gone)
    how = "ended" if nspawn.poll() is not None else f"was not up after {_BOOT_SECONDS} seconds"
    raise NotReady(
        f"the root does not run as a machine, it {how}:{_last_of_console()}",
        hint="ami.live needs control groups that can be written and a base that boots; or build without it",
    )


def _last_of_console() -> str:
    lines = Path(_TOP, "console").read_text(encoding="utf-8", errors="replace").splitlines()
    return "".join(f"\n    {line.strip()}" for line in lines[-12:])


def _power_off(machine: Machine, nspawn: subprocess.Popen[bytes]) -> None:
    """Stop its services as a machine does that is powered off, and wait until it is."""
    with suppress(ProcessLookupError):
        os.kill(machine.leader, signal.SIGRTMIN + 4)
    try:
        code: int | None = nspawn.wait(_POWER_OFF_SECONDS)
    except subprocess.TimeoutExpired:
        code = None
    if code != 0:
        how = f"did not power off within {_POWER_OFF_SECONDS} seconds" if code is None else f"ended with {code}"
        raise VariationFailed(f"the machine {how}:{_last_of_console()}", hint="does a service of the variation not stop?")


@contextmanager
def _traces_removed(root: Path) -> Iterator[None]:
    """The machine's id is what it was; what it leaves only because it ran is removed."""

    def found() -> set[str]:
        paths = {path for pattern in _TRACES for path in files.match(root, pattern)}
        return paths | {path for path in _EMPTY_TRACES if files.exists(root, path) and not files.list_directory(root, path)}

    before = found() | {path for path in _EMPTY_TRACES if files.exists(root, path)}
    try:
        with _machine_id_kept(root):
            yield
    finally:
        for path in sorted(found() - before):
            files.remove(root, path)
        for path in sorted(found() - before):  # empty by now
            files.remove(root, path)


@contextmanager
def _machine_id_kept(root: Path) -> Iterator[None]:
    """An id that the root does not have is drawn by a boot; the image is to draw its own."""
    entry = files.lstat(root, _MACHINE_ID)
    text = files.read_text(root, _MACHINE_ID) if entry and stat.S_ISREG(entry.st_mode) else ""
    if _ID.fullmatch(text) or entry and not stat.S_ISREG(entry.st_mode):
        yield
        return
    mode = stat.S_IMODE(entry.st_mode) if entry else 0o444
    files.write_text(root, _MACHINE_ID, "", mode)  # without it systemd takes this for the first boot, and enables what it likes
    try:
        yield
    finally:
        if _ID.fullmatch(files.read_text(root, _MACHINE_ID, "")):
            files.remove(root, _MACHINE_ID)
            if entry:
                files.write_text(root, _MACHINE_ID, text, mode)
