import fcntl
import os
import signal
import subprocess
import sys
import threading

import pytest
from vmimage.errors import WorkspaceBusy
from vmimage.root.workspace import Workspace
from waiting import HANG_SECONDS

HOLDER = """
import sys
from vmimage.root.workspace import Workspace
with Workspace(sys.argv[1], "web").locked():
    print("held", flush=True)
    sys.stdin.read()
"""
#: what it forks lives on for a moment when it is killed, and has the lock, too
FORKING = """
import os, sys
from vmimage.root.workspace import Workspace
with Workspace(sys.argv[1], "web").locked():
    pid = os.fork()
    if pid:
        print(pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Starts another process that works in the workspace."""
    monkeypatch.setenv("PYTHONPATH", ":".join(path for path in sys.path if path))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return lambda program: subprocess.Popen([sys.executable, "-c", program, tmp_path], text=True, **pipes)


@pytest.fixture
def holder(start):
    """Another process that holds the lock of the workspace, until its stdin is closed."""
    with start(HOLDER) as child:
        try:
            assert child.stdout.readline() == "held\n"
            yield child
        finally:
            child.kill()


def test_a_workspace_that_another_process_holds_is_busy_and_names_it(tmp_path, holder):
    workspace = Workspace(tmp_path, "web")
    assert workspace.is_busy()
    with pytest.raises(WorkspaceBusy, match=f"the variation web is already being built, by process {holder.pid}\n"):
        with workspace.locked():
            pass


@pytest.mark.parametrize("end", [lambda child: child.stdin.close(), lambda child: child.kill()], ids=["ended", "killed"])
def test_a_lock_goes_with_its_holder_however_that_ends(tmp_path, holder, end):
    end(holder)
    holder.wait(timeout=HANG_SECONDS)
    with Workspace(tmp_path, "web").locked():
        pass


@pytest.mark.parametrize("is_reaped", [True, False])
def test_what_a_killed_holder_has_forked_is_waited_for(tmp_path, start, is_reaped):
    with start(FORKING) as child:
        forked = int(child.stdout.readline())
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        if is_reaped:
            child.wait(timeout=HANG_SECONDS)
        ending = threading.Timer(0.5, os.kill, (forked, signal.SIGKILL))
        ending.start()
        with Workspace(tmp_path, "web").locked():
            assert (tmp_path / "web/lock").read_text(encoding="ascii") == str(os.getpid())
        ending.join()


def test_another_workspace_is_free_meanwhile(tmp_path, holder):
    with Workspace(tmp_path, "other").locked():
        pass


def test_a_build_that_begins_while_another_process_looks_whether_there_is_one_begins(tmp_path, monkeypatch):
    workspace, flock = Workspace(tmp_path, "web"), fcntl.flock
    with workspace.locked():
        pass
    begun = []

    def meet(descriptor, kind):
        if kind & fcntl.LOCK_EX and not begun:
            with open(tmp_path / "web/lock") as looking:
                flock(looking, fcntl.LOCK_SH)
                begun.append("looked at")
                flock(descriptor, kind)
        flock(descriptor, kind)

    monkeypatch.setattr(fcntl, "flock", meet)
    with workspace.locked():
        assert begun and workspace.is_busy()
    assert not workspace.is_busy()
