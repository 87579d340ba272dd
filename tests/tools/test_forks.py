"""A signal at the very instant of a fork: the new process goes on nowhere but in its own work."""

import signal
import subprocess
import sys

import pytest
from vmimage.system.background import BackgroundTask, signals_held
from waiting import HANG_SECONDS

#: a signal comes to the new process before it has done anything, and to all others after; what went on in the code of the parent says so
PROGRAM = """
import os, signal, sys
from vmimage.errors import BuildDied, BuildStopped
from vmimage.system import namespace
from vmimage.system.background import BackgroundTask, signals_held

parent, fork, number = os.getpid(), os.fork, getattr(signal, sys.argv[1])

def signalled():
    pid = fork()
    if pid == 0:
        signal.raise_signal(number)
    return pid

os.fork = signalled
try:
    with namespace.stoppable():
        print({"task": lambda: BackgroundTask(int, "work").finish(), "namespace": lambda: namespace.run_privately(int)}[sys.argv[2]]())
except BuildDied:
    print("it ended")
except BaseException as error:
    print(repr(error))
finally:
    print(f"the {'parent' if os.getpid() == parent else 'child'} goes on", flush=True)
    os._exit(0)
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("what", ["task", "namespace"])
def test_a_new_process_that_is_stopped_at_once_does_not_go_on_as_its_parent(what, number, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ":".join(path for path in sys.path if path))
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, number, what], capture_output=True, text=True, timeout=HANG_SECONDS, check=False
    )
    assert ended.stdout.splitlines() == ["it ended", "the parent goes on"], ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_process_that_is_begun_takes_signals_again():
    with signals_held() as before:
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) > before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    assert BackgroundTask(lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()), "work").finish() == before


#: what starts a program is killed when the program is forked and is not tied to it yet
KILLED = """
import os, signal, sys, time
from vmimage.system import syscalls
from vmimage.system.shell import started

prctl = syscalls.prctl

def late(*arguments):
    parent = os.getppid()
    os.kill(parent, signal.SIGKILL)
    while os.getppid() == parent:
        time.sleep(0.01)
    prctl(*arguments)

syscalls.prctl = late
with started(["echo", "it runs"], sys.stdout):
    pass
"""


def test_a_program_whose_caller_is_killed_as_it_begins_does_not_run(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ":".join(path for path in sys.path if path))
    ended = subprocess.run(
        [sys.executable, "-c", KILLED], capture_output=True, timeout=HANG_SECONDS, check=False
    )  # until nobody has its pipes
    assert ended.returncode == -signal.SIGKILL and ended.stdout == b"", ended.stderr
