"""Running programs to their end or for the time of a block.

A command is a list; its exit codes other than 0 are tolerated only where the caller spells them out.  A program that leaves
a daemon behind which holds its output open does not keep the caller waiting: it waits for the program, not for the end of the pipe.
"""

import io
import os
import re
import select
import shutil
import signal
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO

from vmimage.errors import CommandFailed, ProgramMissing
from vmimage.system import syscalls
from vmimage.system.aliases import Argv, Say
from vmimage.system.confine import unsynced_code

#: Debian's packages of the programs that builds run, for the message when a program is missing
PACKAGE_OF = {
    "cp": "coreutils",
    "debugfs": "e2fsprogs",
    "dumpe2fs": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "git": "git",
    "gzip": "gzip",
    "gpgv": "gpgv",
    "hg": "mercurial",
    "mcopy": "mtools",
    "mke2fs": "e2fsprogs",
    "mkfs.fat": "dosfstools",
    "mmd": "mtools",
    "mmdebstrap": "mmdebstrap",
    "mount": "mount",
    "nsenter": "util-linux",
    "qemu-img": "qemu-utils",
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-system-x86_64": "qemu-system-x86",
    "ip": "iproute2",
    "resize2fs": "e2fsprogs",
    "sfdisk": "fdisk",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "systemd-nspawn": "systemd-container",
    "tar": "tar",
    "tune2fs": "e2fsprogs",
    "umount": "mount",
    "xz": "xz-utils",
    "zstd": "zstd",
}

_SBIN = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
_TAIL_BYTES = 64 * 1024
_LINE_BYTES = 64 * 1024  # what is handed out of a line
_LINE_END = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True)
class Finished:
    """A program that ended with an allowed exit code.

    :ivar output: what it printed, stdout and stderr in the order written; of a long output the last 64 KiB when
        its lines were handed to ``on_line``
    """

    code: int
    output: str


def find_program(name: str) -> str | None:
    """The path of a host program, looking in the sbin directories too, or None."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_SBIN}")


def host_environment() -> dict[str, str]:
    """The environment of host programs: the caller's, in plain English, with sbin on the PATH."""
    return {**os.environ, "LC_ALL": "C.UTF-8", "PATH": f"{os.environ.get('PATH', '')}:{_SBIN}"}


def run(
    argv: Argv,
    *,
    ok: Collection[int] = (0,),
    on_line: Say | None = None,
    env: Mapping[str, str] | None = None,
    preexec: Callable[[], object] | None = None,
    stdin: int | IO | None = None,
    stdout: int | IO | None = None,
    pass_fds: Collection[int] = (),
    grace_seconds: float = 0,
    syncs: bool = True,
) -> Finished:
    """Run a program to its end.

    :param ok: exit codes that are no error
    :param on_line: called with each line as it appears
    :param env: the whole environment, default :func:`host_environment`
    :param preexec: called in the child before the program starts
    :param stdin: a file to read from, default nothing
    :param stdout: a file to write to, then only stderr is returned
    :param grace_seconds: for the program to clean up in, after SIGTERM, when we are stopped before its end; else it is killed
    :param syncs: whether it may wait for the disk; without, who calls syncs what it has written, beside other work.  Not with ``preexec``
    :raises ProgramMissing: with the Debian package to install
    :raises CommandFailed: on any other exit code
    """
    words = _words(argv)
    if preexec is None:
        check_installed(words[0])
        preexec = None if syncs else partial(syscalls.load_filter, unsynced_code())
    child = subprocess.Popen(
        words,
        stdin=stdin if stdin is not None else subprocess.DEVNULL,
        stdout=stdout if stdout is not None else subprocess.PIPE,
        stderr=subprocess.PIPE if stdout is not None else subprocess.STDOUT,
        env=env if env is not None else host_environment(),
        preexec_fn=preexec,
        pass_fds=pass_fds,
    )
    try:
        output = _follow(child, on_line)
    except BaseException:
        _end(child, grace_seconds)
        raise
    finally:
        child.wait()
    if child.returncode not in ok:
        raise CommandFailed(words, child.returncode, output)
    return Finished(child.returncode, output)


def _end(child: subprocess.Popen[bytes], grace_seconds: float) -> None:
    """Kill a program; with time to clean up it is asked first, for only the program knows what it has half made."""
    try:
        if grace_seconds:
            child.terminate()
            child.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        pass
    finally:
        child.kill()


@contextmanager
def started(
    argv: Argv, log: IO, *, env: Mapping[str, str] | None = None, preexec: Callable[[], object] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs for the time of the block and is killed at its end.

    :param log: takes what the program prints
    :param env: the whole environment, default :func:`host_environment`
    :param preexec: called in the child before the program starts
    :raises ProgramMissing: with the Debian package to install
    """
    words = _words(argv)
    check_installed(words[0])

    tie = tied_to_caller()

    def prepare() -> None:
        tie()
        if preexec:
            preexec()

    child = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env or host_environment(), preexec_fn=prepare
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def begun(argv: Argv) -> Callable[[], None]:
    """A program that runs in the background and ends with the caller at the latest.

    :returns: a callable that waits for its end
    :raises ProgramMissing: with the Debian package to install
    :raises CommandFailed: by the callable, on an exit code other than 0
    """
    words = _words(argv)
    check_installed(words[0])
    child = subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=host_environment(),
        preexec_fn=tied_to_caller(),
    )

    def finish() -> None:
        output = child.communicate()[0].decode(errors="replace")
        if child.returncode:
            raise CommandFailed(words, child.returncode, output)

    return finish


def tied_to_caller() -> Callable[[], None]:
    """For ``preexec``: the program ends with this process, however this ends, and be it before the program has begun."""
    parent = os.getpid()

    def tie() -> None:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return tie


def _words(argv: Argv) -> list[str]:
    return [os.fspath(word) if isinstance(word, os.PathLike) else str(word) for word in argv]


def check_installed(*programs: str) -> None:
    """Refuse to work without these programs of the builder.

    :raises ProgramMissing: with the Debian package to install
    """
    for program in programs:
        if find_program(program) is None:
            package = PACKAGE_OF.get(os.path.basename(program), program)
            raise ProgramMissing(f"the program {program} is not installed", hint=f"apt-get install {package}")


def _follow(child: subprocess.Popen[bytes], on_line: Say | None) -> str:
    """Read until the program ends, even if somebody else still holds its pipe open."""
    pipe = child.stdout or child.stderr
    assert isinstance(pipe, io.BufferedReader)
    gone = os.pidfd_open(child.pid)
    poller = select.poll()
    poller.register(gone, select.POLLIN)  # looked at first: when it has ended, its last words are in the pipe already
    poller.register(pipe, select.POLLIN)
    os.set_blocking(pipe.fileno(), False)
    kept, lines = bytearray(), _Lines(on_line) if on_line else None
    try:
        while True:
            ready = {fd for fd, _ in poller.poll()}
            chunk = pipe.read1(65536) if pipe.fileno() in ready else None
            if chunk:
                kept += chunk
                if lines:
                    lines.take(chunk)
                    del kept[:-_TAIL_BYTES]
            elif gone in ready:
                break
            elif chunk == b"":
                poller.unregister(pipe)
    finally:
        os.close(gone)
        pipe.close()
    if lines:
        lines.end()
    return kept.decode(errors="replace")


class _Lines:
    """Hands out each line of an output that comes in pieces; of a longer line 64 KiB, with the number of bytes that were cut."""

    def __init__(self, on_line: Say) -> None:
        self._on_line, self._line, self._cut, self._after_return = on_line, bytearray(), 0, False

    def take(self, chunk: bytes) -> None:
        if self._after_return and chunk[:1] == b"\n":
            chunk = chunk[1:]
        self._after_return = chunk[-1:] == b"\r"
        *whole, rest = _LINE_END.split(chunk)
        for part in whole:
            self._add(part)
            self._hand_out()
        self._add(rest)

    def end(self) -> None:
        if self._line:
            self._hand_out()

    def _add(self, part: bytes) -> None:
        room = _LINE_BYTES - len(self._line)
        self._line += part[:room]
        self._cut += max(0, len(part) - room)

    def _hand_out(self) -> None:
        line, cut = self._line.decode(errors="replace"), self._cut
        self._line, self._cut = bytearray(), 0
        self._on_line(f"{line} ... and {cut} bytes more in this line" if cut else line)
