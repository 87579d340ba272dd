"""Work in a background process that ends with the caller at the latest."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, NoReturn, Self, TypeVar

from vmimage.errors import BuildDied
from vmimage.system import syscalls
from vmimage.system.answers import NoAnswer, answer_of, value_of

Result = TypeVar("Result")
#: of :func:`signal.pthread_sigmask`
SignalMask = set[int | signal.Signals]


class BackgroundTask(Generic[Result]):
    """A callable that runs in a process of its own.

    :param work: what it returns or raises must be picklable
    :param doing: what it does, for the message when it is killed
    """

    def __init__(self, work: Callable[[], Result], doing: str) -> None:
        self._doing = doing
        sys.stdout.flush()
        sys.stderr.flush()
        parent, (self._answer, pen) = os.getpid(), os.pipe()
        with signals_held() as before:
            self._pid = os.fork()
            if self._pid == 0:
                os.close(self._answer)
                _be_child(work, pen, parent, before)
        os.close(pen)

    def fileno(self) -> int:
        """A descriptor that select finds readable when the work has ended."""
        return self._answer

    def finish(self) -> Result:
        """What the work returned; raises what it raised.

        :raises BuildDied: if it was killed
        """
        with os.fdopen(self._answer, "rb") as pipe:
            data = pipe.read()
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        try:
            return value_of(data)
        except NoAnswer:
            code = os.waitstatus_to_exitcode(status)
            raise BuildDied(f"{self._doing} ended without a result ({code})", hint="look for the out-of-memory killer") from None

    def stop(self) -> None:
        """End the process, unless it has been finished, and wait until nothing of it is left."""
        if self._pid:
            os.kill(self._pid, signal.SIGTERM)
            os.close(self._answer)
            os.waitpid(self._pid, 0)
            self._pid = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


class SharedTask(Generic[Result]):
    """A callable that runs in a process of its own, for its caller and for all whom that forks meanwhile.

    :param work: as of :class:`BackgroundTask`
    """

    def __init__(self, work: Callable[[], Result], doing: str) -> None:
        self._kept = os.memfd_create("answer")
        self._task = BackgroundTask(lambda: os.write(self._kept, answer_of(work)), doing)

    def finish(self) -> Result:
        """What the work returned; raises what it raised.

        :raises NoAnswer: if it was killed
        """
        with os.fdopen(os.dup(self._task.fileno()), "rb") as pipe:
            pipe.read()  # its end is seen by everybody
        return value_of(os.pread(self._kept, os.fstat(self._kept).st_size, 0))

    def stop(self) -> None:
        """End the process, for who has begun it."""
        self._task.stop()
        os.close(self._kept)


@contextmanager
def signals_held() -> Iterator[SignalMask]:
    """Let no signal come in the block, in which this process forks; those that wait come at its end.

    A new process whose parent turns signals into errors would else raise one in the parent's code, and go on there as a second
    parent; and Python forgets what came before the fork was whole.

    :returns: the mask to set where the new process can take signals
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield before
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _be_child(work: Callable[[], object], pen: int, parent: int, mask: SignalMask) -> NoReturn:
    """Never returns into the code of the parent."""
    code = 1
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:  # else it died before the line above could tie us to it
            data = answer_of(work)
            with os.fdopen(pen, "wb") as pipe:
                pipe.write(data)
            code = 0
    finally:
        os._exit(code)
