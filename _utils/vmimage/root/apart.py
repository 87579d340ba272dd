"""A pid namespace for a program and all that it starts, in which no process of ours is seen.

    run (waits) -> keeper (outside) -> init (pid 1 in there, reaps) -> the program

What a program cannot see it cannot kill, stop or trace, whatever its user is.  Of init it sees a process that takes no signal from there but
SIGUSR2, by which it asks for another name.  When the program ends, or is stopped by what it started,
init ends, and with it the kernel kills all that is left in there.
"""

import os
import select
import signal
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from vmimage.root import files
from vmimage.system import syscalls

RENAME = signal.SIGUSR2
#: here stands a name for the kernel that no file of the root has (:mod:`vmimage.variation.in_root.offline_hostname`)
_WANTED = "/run/vm_create/hostname"
#: in the output of a program that would never end
_STOPPED = "this program was stopped by {}, and nothing would ever let it go on: it is killed"


def go_apart(settle: Callable[[], object], confine: Callable[[], object]) -> None:
    """For ``preexec``: the process goes apart, and only what becomes the program returns.

    :param settle: called in init, which has a mount namespace of its own
    :param confine: called in what becomes the program
    """
    lifeline, held = os.pipe()
    status, report = os.pipe()
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    syscalls.unshare(syscalls.CLONE_NEWPID)
    init = os.fork()
    if init:
        _keep(init, status, held)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    os.close(held)
    if select.select([lifeline], [], [], 0)[0]:
        os._exit(1)  # the keeper died before the line above could tie us to it
    syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWCGROUP)
    settle()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD, RENAME))
    program = os.fork()
    if program:
        _be_init(program, report)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    confine()


def _alone(*descriptors: int) -> None:
    """No process in there can look into this process, and it holds no descriptor but these and those up to 2."""
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    below = 3
    for descriptor in sorted(descriptors):
        os.closerange(below, descriptor)
        below = descriptor + 1
    os.closerange(below, os.sysconf("SC_OPEN_MAX"))
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        with suppress(OSError):
            signal.signal(number, signal.SIG_DFL)


def _keep(init: int, status: int, held: int) -> NoReturn:
    """Wait for init, and end as the program has ended."""
    code = 1
    try:
        _alone(status, held)
        with os.fdopen(status, "rb") as pipe:
            ended = pipe.read()
        os.waitpid(init, 0)  # after all others in there
        code = os.waitstatus_to_exitcode(int(ended)) if ended else -signal.SIGKILL  # init was killed for want of memory
        if code < 0:
            os.kill(os.getpid(), -code)
    finally:
        os._exit(code if code >= 0 else 128 - code)


def _be_init(program: int, report: int) -> NoReturn:
    try:
        _alone(report)
        while True:
            while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT):
                if found.si_code in (os.CLD_STOPPED, os.CLD_TRAPPED):
                    os.waitid(os.P_PID, found.si_pid, os.WSTOPPED | os.WNOHANG)
                    if found.si_pid == program:  # nothing would ever let it go on
                        with suppress(OSError):
                            os.write(2, f"\n{_STOPPED.format(signal.Signals(found.si_status).name)}\n".encode())
                        os.kill(program, signal.SIGKILL)
                    continue
                pid, ended = os.waitpid(found.si_pid, 0)
                if pid == program:
                    os.write(report, str(ended).encode())
                    os._exit(0)
            if signal.sigwait((signal.SIGCHLD, RENAME)) == RENAME:
                _rename()
    finally:
        os._exit(0)


def _rename() -> None:
    """Give the root's kernel the name that is asked for, or else the root's own: nothing else in there may."""
    for path in (_WANTED, "/etc/hostname"):
        with suppress(Exception), files.opened("/", path, os.O_RDONLY | os.O_NONBLOCK) as descriptor:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                socket.sethostname(os.fsdecode(os.read(descriptor, 256).strip()[:64]))
                return


def show_processes() -> None:
    """For ``settle``, where the machine is the program's world: ``/proc`` shows the new pid namespace."""
    syscalls.mount("proc", "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
