"""The runner of a fleet, in the loader of a real Salt: what salt-run shows."""

import json
import subprocess
import sys

import pytest
from minions import PROJECT
from repository_server import SOURCES

SALT_RUN = """
import json, sys
import salt.config, salt.runner
opts = salt.config.master_config(sys.argv[1])
print(json.dumps(salt.runner.RunnerClient(opts).cmd(sys.argv[2], sys.argv[3:], full_return=True, print_event=False), default=str))
"""


@pytest.fixture
def run(tmp_path):
    """``run(fleet, function, ...)``: what a runner of a master with this fleet returns, whole; no master runs."""

    def call(fleet, function, *arguments):
        own = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        config = {"root_dir": str(tmp_path), "user": own, "runner_dirs": [str(PROJECT / "_runners")], "ami_fleet": fleet}
        (tmp_path / "master").write_text(json.dumps(config), encoding="utf-8")
        (tmp_path / "var/cache/salt/master/proc").mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-c", SALT_RUN, tmp_path / "master", function, *arguments]
        said = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
        return json.loads(said.splitlines()[-1])

    return call


@pytest.mark.parametrize(
    ("fleet", "call", "message"),
    [
        ({"repositries": {}}, ["vm_fleet.plan"], "unknown key ami_fleet.repositries\n  -> did you mean ami_fleet.repositories?"),
        (
            {"builders": {"target": "*"}},
            ["vm_fleet.cancel", "x"],
            "the argument number is 'x'\n  -> the number of a build: a whole number, 0 or more",
        ),
    ],
    ids=["a wrong key", "a wrong argument"],
)
def test_what_is_wrong_is_shown_by_its_words_and_no_traceback(run, fleet, call, message):
    returned = run(fleet, *call)
    assert returned["success"] is False and returned["return"] == message


@pytest.mark.needs("git")
def test_what_is_paused_is_listed_by_its_name(run, tmp_path):
    source = SOURCES["git"](tmp_path / "source", {"variation__sls": "first"})
    fleet = {"repositories": {"web": {"git": source.address}}, "builders": {"target": "*"}}
    image = next(iter(run(fleet, "vm_fleet.plan")["return"]["images"]))
    assert run(fleet, "vm_fleet.pause", image)["return"] is True and run(fleet, "vm_fleet.pause")["return"] is True
    assert run(fleet, "vm_fleet.status")["return"]["paused"] == ["fleet", image]
