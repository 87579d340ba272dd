"""What states start and do not wait for."""

import os
import signal
import subprocess
from contextlib import suppress
from types import SimpleNamespace

import pytest
from vmimage.variation.in_root import background_commands
from waiting import HANG_SECONDS


@pytest.fixture
def started(monkeypatch):
    """Starts a command as Salt does in the background."""
    commands = []
    monkeypatch.setattr(background_commands, "_started", commands)

    def start(command):
        commands.append(SimpleNamespace(command=command, process=subprocess.Popen(command, shell=True, start_new_session=True)))
        return commands[-1].process.pid

    yield start
    for command in commands:
        with suppress(ProcessLookupError):
            os.killpg(command.process.pid, signal.SIGKILL)  # with what it has started
        command.process.wait()


def test_what_ends_is_waited_for(started, tmp_path):
    started(f"sleep 0.2; echo > {tmp_path}/end")
    assert background_commands.wait(HANG_SECONDS) == ([], []) and (tmp_path / "end").exists()


def test_what_does_not_end_is_named_by_whether_it_works(started):
    waits, works = "sleep 1000 & exec sleep 1000", "sh -c 'while :; do :; done' & wait"
    started(waits)
    started(works)
    os.waitid(os.P_PID, started("true"), os.WEXITED | os.WNOWAIT)  # it has ended
    assert background_commands.wait(3, 1) == ([works], [waits])


def test_what_only_waits_is_not_waited_for_longer_than_that(started):
    started("exec sleep 1000")
    assert background_commands.wait(HANG_SECONDS, 0.5) == ([], ["exec sleep 1000"])
