"""A program of a root on a terminal of the root's own, whose characters are handed on between it and the caller's terminal.

The program never gets the caller's terminal: whoever holds that could push characters into it, which the caller's shell would read as
commands.  It is the leader of a session on a pseudo-terminal that the root's own ``/dev/pts`` has made; only bytes cross over.
"""

import errno
import fcntl
import os
import select
import struct
import subprocess
import termios
import tty
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from vmimage.root import files
from vmimage.root.mounts import ROOT_ENVIRONMENT, entering
from vmimage.system.aliases import Argv, StrPath

#: requests of pseudo-terminals that Python does not name
_TIOCGPTN, _TIOCSPTLCK = 0x80045430, 0x40045431
_CHUNK = 65536
_LOOK_SECONDS = 0.2  # how often the size of the caller's terminal is looked at: its signal does not reach this session


@contextmanager
def raw_terminal(descriptor: int) -> Iterator[None]:
    """The caller's terminal hands on each key as it is, Ctrl-C among them, for the time of the block."""
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def run_on_terminal(
    root: StrPath, argv: Argv, *, env: Mapping[str, str] | None = None, reading: int = 0, writing: int = 1
) -> int:
    """Run a program of a root with its API file systems, confined, on a terminal of its own; all that it has started has ended then.

    :param reading: the caller's terminal, which is raw (:func:`raw_terminal`)
    :param writing: where the program's output goes
    :returns: its exit code, as a shell has it: of a program that a signal ended 128 and the signal's number
    :raises NotReady: where this machine cannot keep it in
    """
    with files.opened(root, "/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY) as ours:
        fcntl.ioctl(ours, _TIOCSPTLCK, struct.pack("i", 0))
        (number,) = struct.unpack("i", fcntl.ioctl(ours, _TIOCGPTN, bytes(4)))
        with files.opened(root, f"/dev/pts/{number}", os.O_RDWR | os.O_NOCTTY) as theirs:
            child = subprocess.Popen(
                [os.fspath(word) if isinstance(word, os.PathLike) else str(word) for word in argv],
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                env={**ROOT_ENVIRONMENT, **(env or {})},
                preexec_fn=entering(root, _lead_terminal),
            )
        try:
            _hand_on(ours, reading, writing)
        finally:
            child.kill()  # it has ended, unless the caller's terminal has gone
            code = child.wait()
    return 128 - code if code < 0 else code


def _lead_terminal() -> None:
    """Make the terminal that this process reads from that of its session, which is new and has none."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _hand_on(ours: int, reading: int, writing: int) -> None:
    """Hand bytes on both ways until nobody holds the other end of the root's terminal, or the caller's has gone."""
    os.set_blocking(ours, False)
    typed, size = b"", b""
    while True:
        size = _copy_size(reading, ours, size)
        readable, writable, _ = select.select([ours, *([] if typed else [reading])], [ours] if typed else [], [], _LOOK_SECONDS)
        if ours in readable:
            try:
                _write(writing, os.read(ours, _CHUNK))
            except BlockingIOError:
                pass
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                return  # the last that held it has ended
        if reading in readable:
            typed = os.read(reading, _CHUNK)
            if not typed:
                return
        if typed and ours in writable:
            with suppress(BlockingIOError):
                typed = typed[os.write(ours, typed) :]


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _copy_size(source: int, target: int, known: bytes) -> bytes:
    """Give a terminal the size of another, if that is not the known size; returns the size."""
    size = fcntl.ioctl(source, termios.TIOCGWINSZ, bytes(8))
    if size != known:
        fcntl.ioctl(target, termios.TIOCSWINSZ, size)
    return size
