"""The private directory of a build, locked while a process works in it.

WORKSPACE/NAME/lock         who works here (flock: it goes with its holder, however that ends)
WORKSPACE/NAME/lower        the base, mounted read-only
WORKSPACE/NAME/changes      what the build changes: an overlay's upper and work over the base; a tmpfs where memory allows
WORKSPACE/NAME/record.json  what each step found out, for the steps after it and for the manifest
WORKSPACE/NAME/build.log    what the programs of the build printed
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vmimage.system.aliases import StrPath
from vmimage.system.lock import is_locked, locked
from vmimage.system.trees import remove_entry


class Workspace:
    """The directory of a build.

    :param directory: of all workspaces
    :param name: of the build
    """

    def __init__(self, directory: StrPath, name: str) -> None:
        self.name = name
        self.path = Path(directory) / name
        self.lower, self.changes = self.path / "lower", self.path / "changes"
        self.upper, self.work = self.changes / "upper", self.changes / "work"
        self.log = self.path / "build.log"
        self._is_held = False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Work in here alone; a step of a build that holds the lock may ask for it again."""
        if self._is_held:
            yield
            return
        with locked(self.path / "lock", f"the variation {self.name}"):
            self._is_held = True
            try:
                yield
            finally:
                self._is_held = False

    def is_busy(self) -> bool:
        """Whether another process works in here now."""
        return is_locked(self.path / "lock")

    def make(self) -> None:
        """Make the directory, for root alone to look into: settings and pillar are in the record."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)

    def forget(self, *, keep_log: bool = False) -> None:
        """Remove everything but the lock, for a fresh start or at the end; of a failure the log stays."""
        kept = ("lock", self.log.name) if keep_log else ("lock",)
        for entry in self.path.iterdir() if self.path.exists() else ():
            if entry.name in kept:
                continue
            remove_entry(entry)


def all_workspaces(directory: StrPath) -> list[Workspace]:
    """Every workspace below a directory, by name."""
    directory = Path(directory)
    names = sorted(entry.name for entry in directory.iterdir() if entry.is_dir()) if directory.exists() else []
    return [Workspace(directory, name) for name in names]
