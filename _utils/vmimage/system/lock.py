"""Locks: files that a process holds, and that go with it however it ends."""

import fcntl
import os
from contextlib import contextmanager

from vmimage.errors import WorkspaceBusy

_caller = None  # the pid by which the machine knows whose work this is, where it is done in a private namespace


def visible_pid():
    """The pid of this process, or in a private namespace, where that says nothing to a user, of who called the work in it."""
    return _caller or os.getpid()


def work_for(pid):
    """From now on this process works in a private namespace, for the process that the machine knows by this pid."""
    global _caller
    _caller = pid


@contextmanager
def locked(path, what, *, wait=False, doing="built"):
    """Hold the lock file for the time of the block; says its holder's pid in the file.

    :param bool wait: for who holds it, instead of giving up
    :param str doing: for the message: what its holder does with it
    :raises WorkspaceBusy: at once, if somebody else holds it and we do not wait
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            raise WorkspaceBusy(
                f"{what} is already being {doing}, by process {holder}", hint="wait for it, or end that process"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(visible_pid()).encode())
        yield
    finally:
        os.close(descriptor)
