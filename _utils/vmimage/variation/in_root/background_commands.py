"""Commands that states start in the background (``bg: True``) come to their end, as on a machine, before the image is closed.

This file is copied into the root's ``/run``, beside the driver that imports it; it imports nothing of this project.
"""

import logging
import subprocess
import time
from typing import Any

#: what cannot be told from a server, which never ends
SECONDS = 300
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


def wait(seconds: float = SECONDS) -> list[str]:
    """Wait for what was started.

    :param seconds: at most, for all of it
    :returns: the commands that have not ended
    """
    until = time.monotonic() + seconds
    for begun in _started:
        if begun.process.poll() is None:
            logging.getLogger(__name__).info("waiting for a command in the background: %s", begun.command)
        try:
            begun.process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            continue
    return [str(begun.command) for begun in _started if begun.process.poll() is None]
