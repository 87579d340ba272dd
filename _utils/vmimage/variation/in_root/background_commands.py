"""Commands that states start in the background (``bg: True``) come to their end, as on a machine, before the image is closed.

This file is copied into the root's ``/run``, beside the driver that imports it; it imports nothing of this project.
"""

import logging
import os
import time
from collections.abc import Iterable
from typing import Any

#: for a command that works
SECONDS = 300
#: a command that uses no processor for so long waits as a server does, which never ends
IDLE_SECONDS = 30
_started: list[Any] = []


def remember() -> None:
    """Let Salt note what it starts and does not wait for."""
    import salt.utils.timed_subprocess

    made = salt.utils.timed_subprocess.TimedProc.__init__

    def make(self: Any, *arguments: Any, **keywords: Any) -> None:
        made(self, *arguments, **keywords)
        if not self.wait:
            _started.append(self)

    salt.utils.timed_subprocess.TimedProc.__init__ = make


def wait(seconds: float = SECONDS, idle_seconds: float = IDLE_SECONDS) -> tuple[list[str], list[str]]:
    """Wait for what was started.

    :param seconds: at most, for a command that works
    :param idle_seconds: for a command that does nothing
    :returns: ``(commands that work on, commands that only wait)``; without those that have ended
    """
    began = time.monotonic()
    seen = {begun.process.pid: (began, -1) for begun in _started}
    idle: set[int] = set()
    for begun in _started:
        if begun.process.poll() is None:
            logging.getLogger(__name__).info("waiting for a command in the background: %s", begun.command)
    while running := {begun.process.pid: str(begun.command) for begun in _started if begun.process.poll() is None}:
        now = time.monotonic()
        for pid, used in _used(running).items():
            if used != seen[pid][1]:
                seen[pid] = now, used
        idle = {pid for pid in running if now - seen[pid][0] >= idle_seconds}
        if idle.issuperset(running) or now - began >= seconds:
            break
        time.sleep(0.1)
    return [said for pid, said in running.items() if pid not in idle], [said for pid, said in running.items() if pid in idle]


def _used(pids: Iterable[int]) -> dict[int, int]:
    """The processor time of each of these processes with all that it has started, in ticks of the kernel."""
    parents: dict[int, int] = {}
    times: dict[int, int] = {}
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                facts = file.read().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        parents[int(name)], times[int(name)] = int(facts[1]), sum(map(int, facts[11:15]))
    found = {}
    for pid in pids:
        found[pid], todo = 0, [pid]
        while todo:
            above = todo.pop()
            found[pid] += times.get(above, 0)
            todo += [child for child, parent in parents.items() if parent == above]
    return found
