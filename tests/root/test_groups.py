"""Control groups of builds: what a killed build leaves is removed, and nothing of the next one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from vmimage.settings.schema import Settings
from vmimage.system import groups
from waiting import wait_until

#: a build in its groups; it prints their paths
BUILD = """
import os, sys
from vmimage.settings.schema import Settings
from vmimage.system import groups

settings = Settings(workspace=sys.argv[1], name="web")
with groups.swept(settings), groups.limited(groups.group_name(settings)) as made:
    print(*made, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def build(tmp_path, monkeypatch, lacking):
    """A function that begins a build in groups of the workspace; returns its process and its groups."""
    monkeypatch.setenv("PYTHONPATH", ":".join(path for path in sys.path if path))
    begun = []

    def begin():
        words = [sys.executable, "-c", BUILD, tmp_path]
        begun.append(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        made = [Path(path) for path in begun[-1].stdout.readline().split()]
        if not made:
            lacking("needs a control group with limits: run as a service with Delegate=yes")
        return begun[-1], made

    yield begin
    for process in begun:
        process.communicate()


def watcher_of(process):
    (pid,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(pid)


def killed(process):
    process.kill()
    process.wait()


def is_there(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_watcher_of_a_killed_build_takes_no_group_of_the_next_one(build):
    first, left = build()
    watcher = watcher_of(first)
    os.kill(watcher, signal.SIGSTOP)  # as a busy machine does
    killed(first)
    _, made = build()
    os.kill(watcher, signal.SIGCONT)
    wait_until(lambda: not is_there(watcher))
    assert all(group.exists() for group in made) and not any(group.exists() for group in left)


def test_what_a_build_left_that_was_killed_with_its_watcher_the_next_one_removes(build):
    first, left = build()
    os.kill(watcher_of(first), signal.SIGKILL)
    killed(first)
    assert all(group.exists() for group in left)
    build()
    assert not any(group.exists() for group in left)


def test_the_groups_of_another_workspace_stay(build, tmp_path):
    _, made = build()
    with groups.limited(groups.group_name(Settings(workspace=str(tmp_path), name="other"))):
        assert all(group.exists() for group in made)
