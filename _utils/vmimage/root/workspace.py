"""One build's private directory, locked while somebody works in it.

WORKSPACE/NAME/lock         who works here (flock: it goes with its holder, however that ends)
WORKSPACE/NAME/lower        the base, mounted read-only
WORKSPACE/NAME/changes      what the build changes: an overlay's upper and work over the base; a tmpfs where memory allows
WORKSPACE/NAME/*.json       what each step found out, for the steps after it and for the manifest
WORKSPACE/NAME/build.log    what the programs of the build printed
"""

import fcntl
from pathlib import Path

from vmimage.system.lock import locked
from vmimage.system.trees import remove_entry
from vmimage.system.whole_files import read_json, write_json


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
