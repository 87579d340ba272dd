"""A machine made small for a test: a minion in a control group that limits its memory."""

import json
import os
import signal
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from building import LEFT_BEHIND_SECONDS, Salt
from salt_calls import HANGS_SECONDS

_ENTERING = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"']


class _Version(NamedTuple):
    """Of control groups: where they lie, and their files."""

    top: Path
    limit: str
    swap: str
    peak: str
    kills: str


_VERSIONS = (
    _Version(Path("/sys/fs/cgroup"), "memory.max", "memory.swap.max", "memory.peak", "memory.events"),
    _Version(
        Path("/sys/fs/cgroup/memory"),
        "memory.limit_in_bytes",
        "memory.memsw.limit_in_bytes",
        "memory.max_usage_in_bytes",
        "memory.oom_control",
    ),
)


class Group:
    """A control group: no more memory than this for all of its processes together, and no swap.

    :param int limit: in bytes
    :raises OSError: if this machine lets nobody make it
    """

    def __init__(self, limit):
        for self.version in _VERSIONS:
            self.path = self.version.top / f"vm_create-test-{os.getpid()}"
            with suppress(OSError):
                self.path.mkdir()
                if self._file("limit").exists():
                    break
                self.path.rmdir()
        else:
            raise OSError("no control group that limits memory")
        self._file("limit").write_text(str(limit))
        with suppress(OSError):  # where swap is not counted
            self._file("swap").write_text("0" if self.version is _VERSIONS[0] else str(limit))  # version 1: with the memory

    def _file(self, kind):
        return self.path / getattr(self.version, kind)

    def peak_bytes(self):
        """The most that was in use, cached files with it."""
        return int(self._file("peak").read_text())

    def kills(self):
        """How many processes were killed for want of memory."""
        return int(dict(line.split() for line in self._file("kills").read_text().splitlines())["oom_kill"])

    def remove(self):
        """It goes when its last process has gone."""
        deadline = time.monotonic() + LEFT_BEHIND_SECONDS
        while True:
            try:
                return self.path.rmdir()
            except OSError:
                assert time.monotonic() < deadline, (self.path / "cgroup.procs").read_text()
                time.sleep(0.05)


@contextmanager
def limited_memory(limit):
    """A :class:`Group` for the time of the block."""
    group = Group(limit)
    try:
        yield group
    finally:
        group.remove()


class SmallSalt(Salt):
    """A minion whose calls run in a control group."""

    def __init__(self, directory, group):
        super().__init__(directory)
        self.group = group

    def argv(self, function, *arguments, **settings):
        return [*_ENTERING, self.group.path, *super().argv(function, *arguments, **settings)]

    def call(self, function, *arguments, **settings):
        """As that of :class:`building.Salt`, by a process that is in the group from its start."""
        process = self.start(function, *arguments, **settings)
        try:
            out, err = process.communicate(timeout=HANGS_SECONDS)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return process.returncode, json.loads(out)["local"] if out.strip().startswith("{") else None, err
