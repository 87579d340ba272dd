"""Locks: files that a process holds, and that go with it however it ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vmimage.errors import WorkspaceBusy

#: for what a killed process had forked to end, too: until then it has the lock
_ENDING_SECONDS = 30
_caller: int | None = None  # the pid by which the machine knows whose work this is, where it is done in a private namespace


def visible_pid() -> int:
    """The pid of this process; in a private namespace, where that pid says nothing to a user, the pid of the caller."""
    return _caller or os.getpid()


def work_for(pid: int) -> None:
    """From now on this process works in a private namespace, for the process that the machine knows by this pid."""
    global _caller
    _caller = pid


@contextmanager
def locked(path: Path, what: str, *, wait: bool = False, doing: str = "built") -> Iterator[None]:
    """Hold the lock file for the time of the block; its holder's pid stands in the file.

    :param wait: for the process that holds it, instead of giving up
    :param doing: for the message: what its holder does with it
    :raises WorkspaceBusy: at once, if another process holds it and ``wait`` is false; of a process that was killed what it had forked, which
        ends by itself, is waited for
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, deadline = os.open(path, os.O_RDWR | os.O_CREAT, 0o600), time.monotonic() + _ENDING_SECONDS
    try:
        while not _is_got(descriptor, fcntl.LOCK_EX, wait=wait):
            if _is_got(descriptor, fcntl.LOCK_SH):
                continue  # nobody holds it: another process has just looked whether anybody does
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            if _has_ended(holder) and time.monotonic() < deadline:
                time.sleep(0.02)
                continue
            raise WorkspaceBusy(
                f"{what} is already being {doing}, by process {holder}", hint="wait until it has ended, or end that process"
            )
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(visible_pid()).encode())
        yield
    finally:
        os.close(descriptor)


def _has_ended(holder: str) -> bool:
    """Whether no process of this number works any more; in a private namespace that is not known."""
    if _caller or not holder.isdecimal():
        return False
    try:
        return Path(f"/proc/{holder}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def is_locked(path: Path) -> bool:
    """Whether another process holds a lock file now."""
    try:
        with open(path, "rb") as file:
            return not _is_got(file.fileno(), fcntl.LOCK_SH)
    except FileNotFoundError:
        return False


def _is_got(descriptor: int, kind: int, *, wait: bool = False) -> bool:
    try:
        fcntl.flock(descriptor, kind | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
