"""The program that runs the groups of tests: what a change touches, and when it is stopped."""

import importlib.util
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from waiting import HANG_SECONDS, wait_until

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
        assert runner.wait(HANG_SECONDS) == 128 + signal.SIGTERM
    assert programs_in(tmp_path) == [] and sorted(path.name for path in tmp_path.iterdir()) == ["log"]


def load_runner():
    """The program as a module."""
    spec = importlib.util.spec_from_file_location("tests_run", TOP / "tests/run.py")
    runner = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = runner  # as dataclasses want it
    spec.loader.exec_module(runner)
    return runner


def run_lanes(monkeypatch, reports, groups, happens):
    """What ``run_groups`` returns where a group is what ``happens(group, groups that had ended, stopping)`` says, and which have begun."""
    runner, stopping, begun, ended = load_runner(), threading.Event(), [], []

    def run_group(group, *_):
        begun.append(group)
        outcome = happens(group, tuple(ended), stopping)
        ended.append(group)
        return outcome

    monkeypatch.setattr(runner, "run_group", run_group)
    return begun, lambda: runner.run_groups(dict.fromkeys(groups), lambda group: [], reports, stopping)


def test_groups_run_in_lanes_beside_each_other(monkeypatch, tmp_path):
    beside = threading.Barrier(3)  # of lanes one after the other, nobody would come

    def happens(group, ended, _):
        if group in ("tools", "cases", "builder"):
            beside.wait(HANG_SECONDS)
        return group, ended

    _, run = run_lanes(monkeypatch, tmp_path, ["unit", "tools", "builder", "openstack", "cases"], happens)
    outcomes = dict(run())
    assert list(outcomes) == ["unit", "tools", "builder", "openstack", "cases"]
    assert "unit" in outcomes["tools"] and "openstack" in outcomes["cases"]


def test_a_stopped_run_begins_no_further_group_in_any_lane(monkeypatch, tmp_path):
    both = threading.Barrier(2)

    def happens(group, _, stopping):
        both.wait(HANG_SECONDS)  # both lanes have begun
        if group == "unit":
            stopping.set()
        both.wait(HANG_SECONDS)
        if group == "unit":
            raise SystemExit(143)

    begun, run = run_lanes(monkeypatch, tmp_path, ["unit", "tools", "openstack", "cases"], happens)
    with pytest.raises(SystemExit):
        run()
    assert sorted(begun) == ["openstack", "unit"]


def test_a_run_of_nothing_is_no_error(monkeypatch, tmp_path):
    _, run = run_lanes(monkeypatch, tmp_path, [], lambda *_: None)
    assert run() == []


def touched_by(name):
    """``{group: names of test files}`` of a changed file."""
    found = load_runner().touched([TOP / name], ["unit", "tools", "salt", "docs", "root", "builder"])
    return {group: {path.name for path in paths} for group, paths in found.items()}


def test_a_change_of_code_touches_what_imports_it_and_a_whole_build():
    touched = touched_by("_utils/vmimage/image/usage.py")
    assert touched["unit"] >= {"test_usage.py", "test_report.py"}, "directly, and by the report"
    assert touched["root"] == {"test_sample.py"} and "test_delivery.py" in touched["salt"] and "builder" not in touched


def test_a_change_of_a_face_touches_all_that_looks_at_it():
    touched = touched_by("_modules/vm_create.py")
    assert touched["salt"] == {path.name for path in TOP.glob("tests/salt/test_*.py")} and "test_pages.py" in touched["docs"]


def test_a_change_of_a_test_touches_it_alone():
    assert touched_by("tests/builder/test_host.py") == {"builder": {"test_host.py"}}
