"""The program that runs the groups of tests, when it is stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from waiting import wait_until

TOP = Path(__file__).resolve().parents[2]


def programs_in(directory):
    """Pids of the processes that have the directory in their environment, as all that a group starts has."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(directory).encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def test_a_stopped_run_ends_what_its_groups_have_started(tmp_path):
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "VMIMAGE"))}
    with (tmp_path / "log").open("w") as log:
        argv = [sys.executable, TOP / "tests/run.py", "unit", "--", "-p", "no:cacheprovider"]
        runner = subprocess.Popen(argv, env={**environment, "TMPDIR": str(tmp_path)}, stdout=log, stderr=log)
        wait_until(lambda: len(programs_in(tmp_path)) > 2, while_so=lambda: runner.poll() is None)  # a worker of pytest is there
        runner.send_signal(signal.SIGTERM)
        assert runner.wait(60) == 128 + signal.SIGTERM
    assert programs_in(tmp_path) == [] and sorted(path.name for path in tmp_path.iterdir()) == ["log"]
