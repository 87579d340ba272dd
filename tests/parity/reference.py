"""The reference: a base booted as a machine by systemd-nspawn, in which plain Salt applies a variation, and which is powered off.

The machine is an overlay over the prepared base; the base stays as it is.  It has namespaces of its own, the network's too: two machines
can run at the same time and listen at the same ports.  slirp4netns leads out of it, for apt.  Whatever ends the caller ends the machine,
its mounts and its processes.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vmimage.root.mounts import ROOT_ENVIRONMENT, mounted
from vmimage.system import syscalls
from vmimage.system.namespace import run_privately
from vmimage.variation.outcome import summarize

#: everything of ours in the machine lies on its /run
HOME = "/run/reference"
BOOT_SECONDS = 120
APPLY_SECONDS = 400
POWER_OFF_SECONDS = 60
_NAME_SERVER = "10.0.2.3"  # slirp4netns answers there
_GROUPS = Path("/sys/fs/cgroup")
_PREFIX = "parity-"
_NOTES = "/run/systemd/nspawn"

_SALT_CALL = """#!/bin/sh
exec {home}/venv/bin/python3 -c 'import sys; sys.argv[0] = "salt-call"
from salt.scripts import salt_call; sys.exit(salt_call())' --local --config-dir={home}/own/etc "$@"
"""


#: a machine has its configuration in /etc/salt; what Salt wrote beside ours, which lies on /run, is of the machine
_KEEP_GRAINS = f"test ! -e {HOME}/own/etc/grains || install -D -m 644 {HOME}/own/etc/grains /etc/salt/grains"


class MachineFailed(Exception):
    """The reference machine did not do what a machine does."""


@dataclass(frozen=True)
class Reference:
    """A machine that is off.

    :ivar str upper: a directory with what is not as in the base, as an overlay keeps it
    :ivar list states: as of :func:`vmimage.variation.outcome.summarize`; None where the states did not compile
    :ivar str said: what Salt said besides
    :ivar float seconds: what each part took, by its name
    """

    upper: str
    states: list
    said: str
    seconds: dict


def apply_on_machine(variation, base, directory, minion_id):
    """Apply the states of a directory on a machine that is booted for that.

    :param Path variation: a directory with variation.sls or top.sls
    :param str base: the prepared root image
    :param Path directory: new and empty, for the machine's files
    :param str minion_id: what the states see as id
    :returns: :class:`Reference`
    :raises MachineFailed: if it did not boot or power off, or Salt gave no answer
    """
    for name in ("lower", "root", "upper", "work", "own/etc", "own/bin"):
        (directory / name).mkdir(parents=True)
    _write_own(variation, directory / "own", minion_id)
    _remove_old_groups()
    name = f"{_PREFIX}{os.getpid()}-{time.monotonic_ns() % 10**9}"
    states, said, seconds = run_privately(lambda: _run_machine(variation, base, directory, name))
    return Reference(os.fspath(directory / "upper"), states, said, seconds)


def _write_own(variation, own, minion_id):
    """Salt's configuration: plain, but for its files, which lie where no image has them."""
    pillar = variation / "pillar"
    config = {
        "id": minion_id,
        "file_client": "local",
        "root_dir": f"{HOME}/salt",
        "log_file": f"{HOME}/salt/log",
        "file_roots": {"base": [f"{HOME}/states"]},
        "pillar_roots": {"base": [f"{HOME}/states/pillar" if pillar.is_dir() else f"{HOME}/none"]},
        "enable_fqdns_grains": False,
        "log_level": "warning",
    }
    (own / "etc/minion").write_text(json.dumps(config), encoding="utf-8")
    program = own / "bin/salt-call"
    program.write_text(_SALT_CALL.format(home=HOME), encoding="utf-8")
    program.chmod(0o755)


def _run_machine(variation, base, directory, name):
    root, begun, seconds = directory / "root", time.monotonic(), {}
    os.makedirs(_NOTES, exist_ok=True)
    syscalls.mount("tmpfs", _NOTES, "tmpfs")  # what systemd-nspawn leaves there goes with our mounts
    with mounted(base, directory / "lower", "ro", "noload"):
        options = f"lowerdir={directory / 'lower'},upperdir={directory / 'upper'},workdir={directory / 'work'},volatile"
        syscalls.mount("overlay", root, "overlay", 0, options)
        try:
            with booted(root, variation, directory, name) as leader:
                seconds["boot"] = time.monotonic() - begun
                with _connected(leader):
                    states, said = _call_salt(leader, variation)
                    _in_machine(leader, ["sh", "-c", _KEEP_GRAINS])
                seconds["states"] = time.monotonic() - begun - seconds["boot"]
        finally:
            subprocess.run(["umount", root], check=True)
    seconds["all"] = time.monotonic() - begun
    return states, said, seconds


@contextmanager
def booted(root, variation, directory, name):
    """A machine that has booted, for the time of the block; then it is powered off.  Yields the pid of its first process."""
    venv = Path(sys.executable).parents[1]
    argv = ["systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--private-network"]
    argv += ["--resolv-conf=off", "--timezone=off", "--link-journal=no", f"--directory={root}", f"--machine={name[:60]}"]
    argv += [f"--bind-ro={venv}:{HOME}/venv", f"--bind-ro={variation}:{HOME}/states", f"--bind={directory / 'own'}:{HOME}/own"]
    for ours in venv.glob("lib/python*/site-packages/salt_ami_cloud_builder-*.dist-info/entry_points.txt"):
        argv.append(f"--bind-ro=/dev/null:{HOME}/venv/{ours.relative_to(venv)}")  # plain Salt, without this project
    console = directory / "console"
    with _own_group(name) as groups, open(console, "wb") as output:
        nspawn = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, preexec_fn=lambda: _begin_machine(groups)
        )
        try:
            leader = _wait_for_boot(nspawn, console)
            yield leader
            _in_machine(leader, ["systemctl", "poweroff"], timeout=POWER_OFF_SECONDS)
            nspawn.wait(POWER_OFF_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise MachineFailed(f"{error}\n{_tail(console)}") from error
        finally:
            if nspawn.poll() is None:
                nspawn.kill()
                nspawn.wait()


def _begin_machine(groups):
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    for group in groups:
        (group / "cgroup.procs").write_text("0", encoding="ascii")


@contextmanager
def _own_group(name):
    """Control groups of the machine's own in each hierarchy, else two machines end each other's processes."""
    groups = []
    try:
        for top in _hierarchies():
            group = top / name
            group.mkdir()
            if (group / "cpuset.cpus").exists():  # empty in a new group, and then no process may enter
                for key in ("cpuset.cpus", "cpuset.mems"):
                    (group / key).write_text((top / key).read_text(encoding="ascii"), encoding="ascii")
            groups.append(group)
        yield groups
    finally:
        for group in groups:
            _remove_group(group)


def _hierarchies():
    """Of version 2 the only hierarchy; of version 1 each controller has its own."""
    return [_GROUPS] if (_GROUPS / "cgroup.procs").exists() else [path.parent for path in _GROUPS.glob("*/cgroup.procs")]


def _remove_old_groups():
    """Those of machines whose caller was killed."""
    for top in _hierarchies():
        for group in top.glob(f"{_PREFIX}*"):
            if not Path("/proc", group.name.split("-")[1]).exists():
                _remove_group(group)


def _remove_group(group):
    """With all groups that a machine made in there; they empty when their last process has ended."""
    deadline = time.monotonic() + 10
    while True:
        for directory, _, _ in os.walk(group, topdown=False):
            with suppress(OSError):
                os.rmdir(directory)
        if not group.exists() or time.monotonic() > deadline:
            return
        time.sleep(0.05)


def _wait_for_boot(nspawn, console):
    """The pid of the machine's first process, when the machine is up."""
    deadline, children = time.monotonic() + BOOT_SECONDS, Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children")
    while time.monotonic() < deadline:
        if nspawn.poll() is not None:
            raise MachineFailed(f"systemd-nspawn ended with {nspawn.returncode}:\n{_tail(console)}")
        for leader in children.read_text(encoding="ascii").split():
            state = _in_machine(leader, ["systemctl", "is-system-running"]).stdout.strip()
            if state in ("running", "degraded"):
                return leader
        time.sleep(0.1)
    raise MachineFailed(f"the machine was not up after {BOOT_SECONDS} s:\n{_tail(console)}")


def _in_machine(leader, argv, **options):
    """Run a program in the machine, as root logs in there."""
    environment = {**ROOT_ENVIRONMENT, "PATH": f"{HOME}/own/bin:{ROOT_ENVIRONMENT['PATH']}", "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("SYSTEMD_OFFLINE")
    words = [f"{key}={value}" for key, value in environment.items()]
    enter = [
        "nsenter",
        f"--target={leader}",
        "--mount",
        "--uts",
        "--ipc",
        "--net",
        "--pid",
        "--root",
        "--wd",
        "env",
        "-i",
        *words,
    ]
    return subprocess.run(
        [*enter, *argv], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False, **options
    )


@contextmanager
def _connected(leader):
    """A way out to the network for the time of the block."""
    ready, pen = os.pipe()
    argv = ["slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback", f"--ready-fd={pen}", leader, "tap0"]
    slirp = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[pen],
        preexec_fn=lambda: syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL),
    )
    os.close(pen)
    try:
        with os.fdopen(ready, "rb") as pipe:
            if not pipe.read(1):
                raise MachineFailed("slirp4netns gave the machine no network")
        _in_machine(leader, ["resolvectl", "dns", "tap0", _NAME_SERVER])
        _in_machine(leader, ["resolvectl", "domain", "tap0", "~."])
        yield
    finally:
        slirp.kill()
        slirp.wait()


def _call_salt(leader, variation):
    has_states = any((variation / name).is_file() for name in ("variation.sls", "variation/init.sls"))
    words = ["state.sls", "variation"] if has_states else ["state.highstate"]
    if any(variation.glob("_*")):  # whoever brings code of his own does this once, on a machine
        _in_machine(leader, ["salt-call", "saltutil.sync_all"], timeout=APPLY_SECONDS)
    done = _in_machine(leader, ["salt-call", "--out=json", *words], timeout=APPLY_SECONDS)
    try:
        answer = json.loads(done.stdout)["local"]
    except (ValueError, KeyError) as error:
        raise MachineFailed(f"Salt gave no answer ({done.returncode}):\n{done.stdout}\n{done.stderr}") from error
    if not isinstance(answer, dict):
        return None, f"{json.dumps(answer, indent=1)}\n{done.stderr}"
    return summarize(answer), done.stderr


def _tail(console):
    return "\n".join(console.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])
