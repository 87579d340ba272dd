"""Whether what a build changes can be kept in memory until it is packed: what is there is measured, and the machine never swaps."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from vmimage.errors import NotReady
from vmimage.system.aliases import StrPath

#: what apt, dpkg and the kernel say of a disk that is full: they remove what they wrote, and then it no longer looks full
_NO_ROOM = ("No space left on device", "enough free space")
SHARE = 0.6  # of what is free, for changes: the rest is for the programs of the build, and for caches


class MemorySettings(Protocol):
    """The settings of a build that say where its changes are kept."""

    @property
    def memory(self) -> bool | str | int:
        """False, True, ``auto`` or MiB."""

    @property
    def room_mib(self) -> int:
        """MiB that the changes may take."""


class _Version(NamedTuple):
    """Of control groups: where they lie, what kind stands in /proc/self/cgroup, and how their files are called."""

    mount: str
    kind: str
    limits: tuple[str, ...]
    used: str
    cached: str


_VERSIONS = (
    # above high a group is throttled, which is no better than swapping
    _Version("sys/fs/cgroup", "", ("memory.max", "memory.high"), "memory.current", "inactive_file"),
    _Version("sys/fs/cgroup/memory", "memory", ("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file"),
)


def memory_for(settings: MemorySettings, top: Path = Path("/")) -> int:
    """How many MiB of memory the changes of a build may take; 0 for a disk.

    :raises NotReady: if the settings insist on memory that is not there
    """
    if settings.memory is False:
        return 0
    usable = int(free_mib(top) * SHARE)
    if settings.memory == "auto":
        return usable if usable >= settings.room_mib else 0
    wanted = settings.room_mib if settings.memory is True else int(settings.memory)
    if usable < wanted:
        raise NotReady(
            f"the changes of the build may take {wanted} MiB, and {usable} MiB of memory can be spared",
            hint="let ami.memory be auto or false, or lower ami.room_mib",
        )
    return usable if settings.memory is True else wanted


def free_mib(top: Path = Path("/")) -> int:
    """MiB of memory that can be had without swapping, as the machine and the control groups of this process say."""
    lines = (line.split() for line in (top / "proc/meminfo").read_text(encoding="ascii").splitlines())
    found = [int(words[1]) >> 10 for words in lines if words[0] == "MemAvailable:"]
    return max(0, min([*found, *_left_in_groups(top)], default=0))


def _left_in_groups(top: Path) -> Iterator[int]:
    """MiB that each control group above this process has left, whichever version counts the memory."""
    lines: list[str] = []
    with suppress(OSError):
        lines = (top / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    for version in _VERSIONS:
        mount = top / version.mount
        group = next((path for _, kinds, path in (line.split(":", 2) for line in lines) if version.kind in kinds.split(",")), "")
        place = mount / group.lstrip("/")
        for directory in (place, *place.parents):
            for limit in version.limits:
                with suppress(OSError, ValueError):
                    most, now = (int((directory / name).read_text(encoding="ascii")) for name in (limit, version.used))
                    yield (most - now + _cached(directory, version.cached)) >> 20
            if directory == mount:
                break


def _cached(directory: Path, wanted: str) -> int:
    """Bytes of files in the group's memory: they go when room is needed."""
    with suppress(OSError):
        facts = dict(line.split() for line in (directory / "memory.stat").read_text(encoding="ascii").splitlines())
        return int(facts.get(wanted, 0))
    return 0


def is_full(path: StrPath) -> bool:
    """Whether a file system has less than a hundredth of its blocks or inodes left."""
    facts = os.statvfs(path)
    return facts.f_bavail * 100 < facts.f_blocks or facts.f_favail * 100 < facts.f_files


def ran_full(path: StrPath, said: str) -> bool:
    """Whether a file system was too small for what was written there, as it looks or as the programs said that wrote."""
    return is_full(path) or any(words in said for words in _NO_ROOM)
