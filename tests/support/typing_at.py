"""A program on a terminal at which a test types."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from contextlib import contextmanager

HANGS_SECONDS = 300


class Typist:
    """Somebody at a terminal.

    :ivar int terminal: the master's descriptor
    :ivar str seen: all that the terminal has shown
    """

    def __init__(self, process, terminal):
        self.process, self.terminal, self.seen, self.code, self._looked_at = process, terminal, "", None, 0

    def types(self, text):
        os.write(self.terminal, text.encode())

    def interrupts(self, words):
        """Press Ctrl-C until these words are shown: between two programs of a line it ends neither."""
        self.types("\x03")
        return self.waits_for(words, idle=lambda: self.types("\x03"))

    def waits_for(self, words, idle=lambda: None):
        """Read until these words are shown, after those that were waited for before; returns what was shown since then.

        :param idle: called for each second in which nothing is shown
        """
        begun, deadline = self._looked_at, time.monotonic() + HANGS_SECONDS
        while words not in self.seen[begun:]:
            assert time.monotonic() < deadline, f"{words!r} is not shown:\n{self.seen}"
            if not select.select([self.terminal], [], [], 1)[0]:
                idle()
                continue
            try:
                self.seen += os.read(self.terminal, 4096).decode(errors="replace")
            except OSError:  # the program has ended
                raise AssertionError(f"{words!r} was never shown:\n{self.seen}") from None
        self._looked_at = self.seen.index(words, begun) + len(words)
        return self.seen[begun : self._looked_at]

    def resizes(self, rows, columns):
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def ends(self):
        """Wait for the program's end; returns its exit code."""
        deadline = time.monotonic() + HANGS_SECONDS
        while self.code is None:
            assert time.monotonic() < deadline, f"it does not end:\n{self.seen}"
            if select.select([self.terminal], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.terminal, 4096).decode(errors="replace")
                except OSError:
                    time.sleep(0.1)
            pid, status = os.waitpid(self.process, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code


@contextmanager
def typing_at(argv, rows=40, columns=100):
    """A program on a terminal of its own for the time of the block: a :class:`Typist`."""
    process, terminal = pty.fork()
    if not process:
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            os.execv(argv[0], [os.fspath(word) for word in argv])
        finally:
            os._exit(127)
    typist = Typist(process, terminal)
    typist.resizes(rows, columns)
    try:
        yield typist
    finally:
        if typist.code is None:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        os.close(terminal)
