import fcntl
import subprocess
import sys

import pytest
from vmimage.errors import WorkspaceBusy
from vmimage.root.workspace import Workspace

HOLDER = """
import sys
from vmimage.root.workspace import Workspace
with Workspace(sys.argv[1], "web").locked():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path, monkeypatch):
    """Another process that holds the lock of the workspace, until its stdin is closed."""
    monkeypatch.setenv("PYTHONPATH", ":".join(path for path in sys.path if path))
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
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
    holder.wait(timeout=10)
    with Workspace(tmp_path, "web").locked():
        pass


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
