"""Private namespaces that end with their caller.

The work runs in mount, pid, uts and ipc namespaces of its own::

    caller -> keeper (unshares) -> init (pid 1 in there, reaps) -> worker (does the work)

Each dies with its parent (PR_SET_PDEATHSIG), and with init the kernel kills everything in the namespace and takes its mounts
and loop devices away.  So whatever kills the caller, SIGKILL included, nothing stays behind and no clean-up code is needed.
"""

import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import NoReturn, TypeVar

from vmimage.errors import BuildDied, BuildStopped
from vmimage.system import network, syscalls
from vmimage.system.answers import NoAnswer, answer_of, value_of
from vmimage.system.background import SignalMask, signals_held
from vmimage.system.lock import visible_pid, work_for

_STOPPING = (signal.SIGINT, signal.SIGTERM)
_CLEANING_SECONDS = 60
_PRIVATE = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWIPC
Result = TypeVar("Result")


def run_privately(work: Callable[[], Result], *, hostname: str = "", kind_of_network: str = network.HOST) -> Result:
    """Do the work in namespaces of its own and return what it returns.

    :param work: what it returns or raises must be picklable
    :param hostname: the host name in there, default the caller's
    :param kind_of_network: of :mod:`vmimage.system.network`, default the caller's network
    :raises BuildDied: if the worker was killed
    :raises BuildStopped: on Ctrl-C or SIGTERM
    :raises Exception: whatever the work raised
    """
    answer, pen = os.pipe()
    unshared, separate = os.pipe()
    connect, connection = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    caller = visible_pid()
    keeper = 0
    with stoppable():
        try:
            with signals_held() as before:
                keeper = os.fork()
                if keeper == 0:
                    work_for(caller)
                    _close(answer, unshared, connection)
                    _end_with(lambda: _keep(work, pen, hostname, kind_of_network, separate, connect), before)
                _close(pen, separate, connect)
            with _network(kind_of_network, keeper, unshared, connection), os.fdopen(answer, "rb") as pipe:
                data = pipe.read()
        except BaseException:
            if keeper:
                os.kill(keeper, signal.SIGTERM)  # not SIGKILL: the keeper ends after the last process in there has ended
            raise
        finally:
            status = os.waitpid(keeper, 0)[1] if keeper else 0
    try:
        return value_of(data)
    except NoAnswer:
        code = os.waitstatus_to_exitcode(status)
        raise BuildDied(
            f"the build's process ended without a result ({f'signal {-code}' if code < 0 else f'exit code {code}'})",
            hint="look for the out-of-memory killer in the kernel's log; the next run starts afresh",
        ) from None


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into an error: Salt's own handlers would end with the exit code 0, as if all were well.

    The error also comes where this begins and ends within another: code of Salt's in between may have swallowed it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # a thread of a minion: signals do not come here
        return
    before = {number: signal.getsignal(number) for number in _STOPPING}
    if _stop not in before.values():
        _stops.clear()
    _raise_if_stopped()
    try:
        for number in _STOPPING:
            signal.signal(number, _stop)
        yield
        _raise_if_stopped()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_stops: list[tuple[int, float]] = []  # (signal, when): since the outermost stoppable() has begun


def _stop(number: int, frame: FrameType | None) -> None:
    now = time.monotonic()
    if _stops and now - _stops[-1][1] < _CLEANING_SECONDS:
        return  # a clean-up that has begun is finished: a terminal and a parent may both send a signal
    _stops.append((number, now))
    _raise_if_stopped()


def _raise_if_stopped() -> None:
    if _stops:
        raise BuildStopped(
            f"stopped by {signal.Signals(_stops[-1][0]).name}", hint="nothing was left behind; the next run starts afresh"
        )


def _end_with(body: Callable[[], int | None], mask: SignalMask) -> NoReturn:
    """Run the body as a forked child that never returns into its parent's code, and that a signal simply ends.

    :param mask: of :func:`vmimage.system.background.signals_held`, in which it was forked
    """
    code = 70
    try:
        for number in _STOPPING:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        code = body() or 0
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


@contextmanager
def _network(kind: str, keeper: int, unshared: int, connection: int) -> Iterator[None]:
    """Connect the keeper's network namespace, if it has its own, and let the keeper go on."""
    with os.fdopen(unshared, "rb") as separate, os.fdopen(connection, "wb", buffering=0) as connected, ExitStack() as stack:
        if kind == network.PRIVATE and separate.read(1):
            stack.enter_context(network.connected(keeper))
        with suppress(BrokenPipeError):  # it has ended, and what waits for it says so
            connected.write(b"1")
        yield


def _keep(work: Callable[[], object], pen: int, hostname: str, kind_of_network: str, separate: int, connect: int) -> int:
    os.setsid()  # without a terminal: nothing is pushed into it from here, and Ctrl-C reaches the caller, which stops this process
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    if kind_of_network != network.HOST:
        syscalls.unshare(syscalls.CLONE_NEWNET)
    os.write(separate, b"1")
    os.close(separate)
    if not os.read(connect, 1):
        return 1  # the caller could not connect it, and says why
    os.close(connect)
    if kind_of_network != network.HOST:
        network.close_ways(kind_of_network)
    syscalls.unshare(_PRIVATE)  # now: the next child is init
    # what is mounted in there stays in there, and what the machine unmounts (a disk that is pulled, another build's root) is not held
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_SLAVE)
    lifeline, held = os.pipe()
    with signals_held() as before:
        init = os.fork()
        if init == 0:
            os.close(held)
            _end_with(lambda: _be_init(work, pen, hostname, lifeline), before)
        os.close(pen)
        for number in _STOPPING:  # init is reaped after all others in there: then the caller may clean up where they worked
            signal.signal(number, lambda *_: _kill(init))
    return _exit_code(os.waitpid(init, 0)[1])


def _kill(process: int) -> None:
    with suppress(ProcessLookupError):  # it has just ended by itself
        os.kill(process, signal.SIGKILL)


def _be_init(work: Callable[[], object], pen: int, hostname: str, lifeline: int) -> int:
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    if select.select([lifeline], [], [], 0)[0]:
        return 1  # the keeper died before the line above could tie us to it
    syscalls.mount("proc", "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
    if hostname:
        socket.sethostname(hostname[:64])
    with signals_held() as before:
        worker = os.fork()
        if worker == 0:
            _end_with(lambda: _work(work, pen), before)
    os.close(pen)
    while True:  # reap orphans, too
        pid, status = os.wait()
        if pid == worker:
            return _exit_code(status)


def _work(work: Callable[[], object], pen: int) -> None:
    data = answer_of(work, BaseException)  # everything crosses to the caller, Ctrl-C included
    sys.stdout.flush()
    sys.stderr.flush()
    with suppress(BrokenPipeError), os.fdopen(pen, "wb") as pipe:  # the caller may be gone
        pipe.write(data)


def _exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code
