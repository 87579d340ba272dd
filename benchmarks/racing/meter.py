"""One command measured: seconds, and the peak memory of everything that it started, in a cgroup of its own."""

import os
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from vmimage.errors import VmImageError

MEANS = "anonymous memory and tmpfs of all its processes together, sampled each 50 ms, without page cache"
PREFIX = "race-"
_SAMPLED_SECONDS = 0.05
_TOPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/memory"))  # version 2, version 1
_WANTED = {"anon", "shmem"}, {"total_rss", "total_shmem"}


class RunFailed(VmImageError):
    """A contest ended with an error."""


def measure(argv, log):
    """Run to the end.

    :param Path log: what it prints; its last lines are shown when it fails
    :returns: ``{"seconds": ..., "peak_mib": ... or None}``
    """
    os.sync()  # what an earlier run left to be written is not this run's
    with open(log, "wb") as output, cgroup() as (group, wanted):
        begun = time.monotonic()
        child = subprocess.Popen(
            [str(word) for word in argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=(lambda: (group / "cgroup.procs").write_text("0")) if group else None,
        )
        with sampled(group, wanted) as peak:
            code = child.wait()
        seconds = time.monotonic() - begun
    if code:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-25:])
        raise RunFailed(f"{argv[0]} ended with {code}:\n{tail}", hint=f"all it said is in {log}")
    return {"seconds": round(seconds, 2), "peak_mib": round(max(peak) / 2**20) if peak else None}


@contextmanager
def cgroup():
    """A new cgroup that counts memory, and the fields of its memory.stat that matter; both None where there is none to have."""
    group, wanted = _new_cgroup()
    try:
        yield group, wanted
    finally:
        if group:
            remove_cgroup(group)


def _new_cgroup():
    for top, wanted in zip(_TOPS, _WANTED, strict=True):
        group = top / f"{PREFIX}{time.monotonic_ns()}"
        with suppress(OSError):
            group.mkdir()
            if (group / "memory.stat").exists():
                return group, wanted
            group.rmdir()
    return None, None


def remove_cgroup(group):
    """A cgroup goes when its last process has gone: a daemon that ends behind its caller keeps it for a moment."""
    until = time.monotonic() + 5
    while group.exists() and time.monotonic() < until:
        with suppress(OSError):
            group.rmdir()
            return
        time.sleep(_SAMPLED_SECONDS)


def old_cgroups():
    """Those that a killed race left."""
    return [group for top in _TOPS for group in top.glob(f"{PREFIX}[0-9]*")]


@contextmanager
def sampled(group, wanted):
    """A list that fills with bytes in use while the block runs."""
    found, ended = [], threading.Event()

    def sample():
        while not ended.wait(_SAMPLED_SECONDS):
            found.append(bytes_in_use((group / "memory.stat").read_text(), wanted))

    thread = threading.Thread(target=sample)
    if group:
        thread.start()
    try:
        yield found
    finally:
        ended.set()
        if group:
            thread.join()


def bytes_in_use(statistics, wanted):
    """The sum of the wanted fields of a memory.stat."""
    lines = (line.split() for line in statistics.splitlines())
    return sum(int(number) for key, number in lines if key in wanted)


def free_gib(facts=None):
    """Memory that a run may take without swapping the machine, by the text of /proc/meminfo."""
    facts = facts or Path("/proc/meminfo").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in facts.splitlines() if line.startswith("MemAvailable"))) >> 20
