"""Whether what a build changes can be kept in memory until it is packed: what is there is measured, and the machine never swaps."""

import os
from contextlib import suppress
from pathlib import Path

from vmimage.errors import NotReady

SHARE = 0.6  # of what is free, for changes: the rest is for the programs of the build, and for caches


def memory_for(settings, top=Path("/")):
    """How many MiB of memory the changes of a build may take; 0 for a disk.

    :param Settings settings: ``memory`` and ``room_mib``
    :raises NotReady: if the settings insist on memory that is not there
    """
    if settings.memory is False:
        return 0
    usable = int(free_mib(top) * SHARE)
    if settings.memory == "auto":
        return usable if usable >= settings.room_mib else 0
    wanted = settings.room_mib if settings.memory is True else settings.memory
    if usable < wanted:
        raise NotReady(
            f"the changes of the build may take {wanted} MiB, and {usable} MiB of memory can be spared",
            hint="let ami.memory be auto or false, or lower ami.room_mib",
        )
    return usable if settings.memory is True else wanted


def free_mib(top=Path("/")):
    """MiB of memory that can be had without swapping, as the machine and the control groups of this process say."""
    lines = (line.split() for line in (top / "proc/meminfo").read_text(encoding="ascii").splitlines())
    found = [int(words[1]) >> 10 for words in lines if words[0] == "MemAvailable:"]
    return max(0, min([*found, *_left_in_groups(top)], default=0))


def _left_in_groups(top):
    """What each control group (v2) above this process has left."""
    group = ""
    with suppress(OSError):
        group = next(
            line[3:] for line in (top / "proc/self/cgroup").read_text(encoding="utf-8").splitlines() if line[:3] == "0::"
        )
    place = top / "sys/fs/cgroup" / group.lstrip("/")
    for directory in (place, *place.parents):
        for limit in ("max", "high"):  # above high the group is throttled, which is no better than swapping
            with suppress(OSError, ValueError):
                most, now = (int((directory / f"memory.{what}").read_text(encoding="ascii")) for what in (limit, "current"))
                yield (most - now + _cached(directory)) >> 20
        if directory == top / "sys/fs/cgroup":
            return


def _cached(directory):
    """Bytes of files in the group's memory: they go when room is needed."""
    with suppress(OSError):
        facts = dict(line.split() for line in (directory / "memory.stat").read_text(encoding="ascii").splitlines())
        return int(facts.get("inactive_file", 0))
    return 0


def is_full(path):
    """Whether a file system has no room left to speak of."""
    facts = os.statvfs(path)
    return facts.f_bavail * 100 < facts.f_blocks or facts.f_favail * 100 < facts.f_files
