"""Control groups of a root: of a machine's own, in which its systemd makes more, and of programs that may not take all of the builder.

They lie below the groups that the builder itself is in, so that its limits hold for the machine, too.  The kernel takes no empty group
away by itself: a watcher, which outlives the builder for a moment, does that.
"""

import hashlib
import os
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from vmimage.system.lock import visible_pid
from vmimage.system.shell import host_environment

_SECONDS = 10
#: of all programs in a root together: what no build needs, and what a machine survives
PROCESSES = 8192
MEMORY_SHARE = 0.9
# reads until all processes that hold the other end of the pipe have ended: the build, and all that it forked
_WATCHER = """
trap '' HUP INT TERM
cat >/dev/null
left=100
while [ $left -gt 0 ]; do
    find "$@" -depth -type d -exec rmdir {} + 2>/dev/null
    there=
    for group; do [ ! -d "$group" ] || there=yes; done
    [ "$there" ] || exit 0
    left=$((left - 1))
    sleep 0.1
done
"""


class PlaceSettings(Protocol):
    """The settings of a build that say where it works."""

    @property
    def name(self) -> str:
        """Of the variation."""

    @property
    def workspace(self) -> str:
        """The directory of the workspaces."""


class _Hierarchy(NamedTuple):
    """A hierarchy of control groups that is mounted.

    :ivar top: the group that the mount shows as its top
    :ivar point: the directory of the mount
    :ivar kind: cgroup or cgroup2
    :ivar options: of the mount; controllers are among them
    """

    top: str
    point: str
    kind: str
    options: frozenset[str]


def group_name(settings: PlaceSettings) -> str:
    """The name of the groups of a build; two in the same workspace are never at work at the same time.

    Its end is the process that builds: the watcher of a build that was killed takes nothing of the next away.
    """
    place = os.stat("/")
    words = f"{os.path.realpath(f'{settings.workspace}/{settings.name}')}\0{place.st_dev}\0{place.st_ino}"
    return f"vm_create-{hashlib.sha256(os.fsencode(words)).hexdigest()[:16]}.{visible_pid()}"


@contextmanager
def own_groups(name: str) -> Iterator[list[Path]]:
    """Groups of a machine, for the time of the block; yields their paths.

    They are in the hierarchies that its systemd works with.  A group in those of version 1 that share out processors and memory would
    have all of the machine get as much of a busy builder as a single process of the builder does.
    """
    places = _own_places(shares=False)
    _remove_left(places, name)
    groups = [place / name for place in places]
    try:
        for group in groups:
            group.mkdir()
        yield groups
    finally:
        _remove(groups)


def enter_groups(groups: Iterable[Path]) -> None:
    """Move this process into these groups."""
    for group in groups:
        (group / "cgroup.procs").write_text("0", encoding="ascii")


@contextmanager
def swept(settings: PlaceSettings) -> Iterator[None]:
    """Have the groups of a build removed at the end, even if this process and all others of the build are killed."""
    with watched(group_name(settings)):
        yield


@contextmanager
def watched(name: str) -> Iterator[None]:
    """Have the groups of this name removed when all processes have ended that were forked in the block, however they end."""
    reading, writing = os.pipe()
    watcher = subprocess.Popen(
        ["/bin/sh", "-c", _WATCHER, "sh", *(os.fspath(place / name) for place in _own_places())],
        stdin=reading,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=host_environment(),
        start_new_session=True,
        cwd="/",
    )
    os.close(reading)
    try:
        yield
    finally:
        os.close(writing)
        watcher.wait()


@contextmanager
def limited(name: str) -> Iterator[list[Path]]:
    """Groups whose programs together get no more than a share of the processes and of the memory; yields their paths.

    Where this process has no such controller (version 2 gives it to a service with ``Delegate=`` only), only the limits of the builder's
    own group hold.
    """
    places = _own_places()
    _remove_left(places, name)
    groups = [place / name for place in places if _is_made(place / name)]
    try:
        yield groups
    finally:
        _remove(groups)


def _is_made(group: Path) -> bool:
    """Make a group with limits, if it can have any."""
    with suppress(OSError):
        group.mkdir()
        memory = int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * MEMORY_SHARE)
        limits = {"pids.max": PROCESSES, "memory.max": memory, "memory.limit_in_bytes": memory}
        there = {key: limit for key, limit in limits.items() if (group / key).exists()}
        for key, limit in there.items():
            (group / key).write_text(str(limit), encoding="ascii")
        if there:
            return True
        group.rmdir()
    return False


def _hierarchies() -> Iterator[_Hierarchy]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            fields, _, more = line.partition(" - ")
            kind, options = more.split()[0], more.split()[-1]
            if kind in ("cgroup", "cgroup2"):
                top, point = fields.split()[3:5]
                yield _Hierarchy(top, point, kind, frozenset(options.split(",")))


def _own_places(*, shares: bool = True) -> list[Path]:
    """The group that this process is in, of each hierarchy that is mounted.

    :param shares: with those of version 1 that have controllers
    """
    mounted, found = list(_hierarchies()), []
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        _, controllers, path = line.split(":", 2)
        if not shares and controllers and not controllers.startswith("name="):
            continue
        for hierarchy in mounted:
            if (set(controllers.split(",")) <= hierarchy.options) if controllers else hierarchy.kind == "cgroup2":
                place = Path(f"{hierarchy.point}{path.removeprefix(hierarchy.top.rstrip('/'))}")
                found.append(place if (place / "cgroup.procs").exists() else Path(hierarchy.point))
                break
    return list(dict.fromkeys(found))


def _remove_left(places: Iterable[Path], name: str) -> None:
    """Remove the groups of builds in the same workspace that were killed together with their watchers."""
    of_workspace = name.partition(".")[0]
    _remove(group for place in places for group in [place / name, *place.glob(f"{of_workspace}.*")])


def _remove(groups: Iterable[Path]) -> None:
    """Remove groups, with all that a machine made in them; they empty when their last process has ended."""
    deadline = time.monotonic() + _SECONDS
    for group in groups:
        while group.exists():
            for directory, _, _ in os.walk(group, topdown=False):
                with suppress(OSError):
                    os.rmdir(directory)
            if time.monotonic() > deadline:
                break
            if group.exists():
                time.sleep(0.02)
