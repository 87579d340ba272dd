"""One build's private directory, locked while somebody works in it.

WORKSPACE/NAME/lock         who works here (flock: it goes with its holder, however that ends)
WORKSPACE/NAME/lower        the base, mounted read-only
WORKSPACE/NAME/changes      what the build changes: an overlay's upper and work over the base; a tmpfs where memory allows
WORKSPACE/NAME/*.json       what each step found out, for the steps after it and for the manifest
WORKSPACE/NAME/build.log    what the programs of the build printed
"""

import fcntl
import json
import os
import threading
from contextlib import contextmanager
from pathlib import Path

from vmimage.errors import WorkspaceBusy
from vmimage.trees import remove_entry

_caller = None  # the pid by which the machine knows whose work this is, where it is done in a private namespace
_held = set()  # by this thread and the processes that it forked: a step of a build that holds its lock may lock again


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
    ours = path, threading.get_ident()
    if ours in _held:
        yield
        return
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
        _held.add(ours)
        yield
    finally:
        _held.discard(ours)
        os.close(descriptor)


def sync(path):
    """See a file or directory safe on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path, data, *, lasts=True):
    """Replace a JSON file at once: readers see the old or the new one.

    :param bool lasts: wait until it is safe on the disk: a crash of the machine leaves no half
    """
    partial = path.with_name(f"{path.name}.partial")
    with open(partial, "w", encoding="utf-8") as file:
        json.dump(data, file, indent=1, sort_keys=True, ensure_ascii=True)
        file.write("\n")
        if lasts:
            file.flush()
            os.fsync(file.fileno())
    os.replace(partial, path)


def read_json(path, default=None):
    """The content of a JSON file, or the default where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return default


class Workspace:
    """The directory of one build.

    :param Path directory: of all workspaces
    :param str name: of the build
    """

    def __init__(self, directory, name):
        self.name = name
        self.path = Path(directory) / name
        self.lower, self.changes = self.path / "lower", self.path / "changes"
        self.upper, self.work = self.changes / "upper", self.changes / "work"
        self.log = self.path / "build.log"

    def locked(self):
        """Work in here alone."""
        return locked(self.path / "lock", f"the variation {self.name}")

    def is_busy(self):
        """Whether somebody else works in here now."""
        try:
            with open(self.path / "lock", "rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def note(self, step, data):
        """Keep what a step found out, for as long as the machine runs: its mounts do not outlast that either.

        To wait for the disk at each took half a second of a build of fifteen: what is written of the image goes first.
        """
        self.make()
        write_json(self.path / f"{step}.json", data, lasts=False)

    def noted(self, step, default=None):
        """What a step found out earlier in this build, or the default; half a note, of before a crash of the machine, is none."""
        try:
            return read_json(self.path / f"{step}.json", default)
        except ValueError:
            return default

    def make(self):
        """Make the directory, for root alone to look into: settings and pillar are among the notes."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)

    def drop(self, *steps):
        """Take back what steps found out: it no longer holds."""
        for step in steps:
            (self.path / f"{step}.json").unlink(missing_ok=True)

    def forget(self, *, keep_log=False):
        """Remove everything but the lock, for a fresh start or at the end; of a failure the log stays."""
        kept = ("lock", self.log.name) if keep_log else ("lock",)
        for entry in self.path.iterdir() if self.path.exists() else ():
            if entry.name in kept:
                continue
            remove_entry(entry)


def all_workspaces(directory):
    """Every workspace below a directory, by name."""
    directory = Path(directory)
    names = sorted(entry.name for entry in directory.iterdir() if entry.is_dir()) if directory.exists() else []
    return [Workspace(directory, name) for name in names]
