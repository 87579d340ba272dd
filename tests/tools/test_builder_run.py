"""python -m vmimage.builder as a program, on userdata from a file and without a build.

Which userdata is good, wrong, or of somebody else is shown by the tables in tests/unit/test_userdata.py, without a process for
each row.  These runs show that the program reads its options, calls those functions, and ends with their words and exit code.
"""

import json
import subprocess
import sys

import pytest
from waiting import HANG_SECONDS

SECRET = "hunter2"


class Ended:
    def __init__(self, done):
        self.code, self.text, self.lines = done.returncode, done.stdout, done.stdout.splitlines()


class Run:
    """A masterless minion of its own, in which no userdata stands yet: should a run go on that must not, it harms nobody."""

    def __init__(self, top):
        self.top, self.etc = top, top / "etc"
        self.etc.mkdir()
        config = {"file_client": "local", "root_dir": str(top / "salt"), "file_roots": {"base": [str(top / "states")]}}
        (self.etc / "minion").write_text(json.dumps(config))

    def on(self, userdata, *words):
        (self.top / "userdata").write_text(userdata)
        return self.start("--userdata", "userdata", *words)

    def start(self, *words):
        argv = [sys.executable, "-m", "vmimage.builder", "--config-dir", "etc", "--home", "home", *words]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL, "timeout": HANG_SECONDS}
        return Ended(subprocess.run(argv, cwd=self.top, text=True, check=False, **options))

    def is_untouched(self):
        return {str(path.relative_to(self.top)) for path in self.top.rglob("*")} <= {"etc", "etc/minion", "userdata"}


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def test_a_dry_run_names_each_key_and_no_value_needs_no_salt_and_switches_nothing_off(run):
    (run.etc / "minion").unlink()
    ended = run.on(f"ami: {{name: web, when_done: poweroff}}\nkeystone.password: {SECRET}\n", "--dry-run")
    keys = ["grain ami.name", "grain ami.when_done", "secret keystone.password"]
    *named, missing, end = ended.lines
    assert named == ["vm_create: userdata", *(f"userdata: {key}" for key in keys)]
    assert missing.startswith("userdata: keystone.") and missing.endswith(
        ": unless the builder's own configuration has better, it cannot publish"
    )
    assert end == "vm_create: nothing was changed" and SECRET not in ended.text
    assert ended.code == 0 and run.is_untouched()


def test_a_dry_run_says_which_credentials_are_not_there(run):
    given = f"keystone: {{auth_url: 'https://cloud.example.org:5000/v3', user: alice, password: {SECRET}}}\n"
    ended = run.on(given, "--dry-run")
    assert "userdata: keystone.tenant is missing (found " in ended.text and SECRET not in ended.text and ended.code == 0
    for complete in (given.replace("}", ", tenant: images}"), f"{given}ami.cloud: mine\n", "ami.name: web\n"):
        assert "missing" not in run.on(complete, "--dry-run").text


def test_userdata_for_somebody_else_is_named_by_its_kind_and_left_alone(run):
    ended = run.on(f"#!/bin/sh\necho {SECRET}\n", "--dry-run")
    left = "userdata: userdata contains no settings (script), and is ignored"
    assert ended.lines == ["vm_create: userdata", left, "vm_create: nothing was changed"]
    assert ended.code == 0 and run.is_untouched()


def test_wrong_userdata_fails_with_a_hint_and_leaves_the_files_of_an_earlier_boot_as_they_were(run):
    (run.etc / "minion.d").mkdir()
    files = {
        run.etc / "grains": "# by hand\nrole: builder\nami: {name: old}\n",
        run.etc / "minion.d/vm_create-userdata.conf": "keystone: {user: old}\n",
    }
    for path, text in files.items():
        path.write_text(text)
    ended = run.on(f"ami.relase: sid\nkeystone.password: {SECRET}\n")
    wrong = "unknown setting ami.relase in the userdata (line 1)"
    begin, reason, hint, last = ended.lines
    assert begin == "vm_create: userdata" and reason.startswith(f"vm_create: userdata: {wrong}"), ended.text
    assert hint.startswith("  -> ") and "did you mean ami.release?" in hint
    assert last.startswith(f"vm_create: FAILED at userdata: {wrong}")
    assert ended.code == 1 and SECRET not in ended.text
    assert {path: path.read_text() for path in files} == files
    assert sorted(path.name for path in run.etc.rglob("*")) == ["grains", "minion", "minion.d", "vm_create-userdata.conf"]


@pytest.mark.parametrize(("name", "why"), [("nowhere", "No such file or directory"), (".", "Is a directory")])
def test_userdata_that_cannot_be_read_is_named(run, name, why):
    ended = run.start("--userdata", name, "--dry-run")
    assert ended.code == 1
    assert ended.lines[-1] == f"vm_create: FAILED at userdata: the userdata {name} cannot be read: {why}"


def test_where_no_cloud_answers_it_says_what_was_asked(run):
    ended = run.start("--metadata", "http://127.0.0.1:9", "--deadline", "1", "--dry-run")
    assert ended.code == 1
    (failed,) = [number for number, line in enumerate(ended.lines) if line.startswith("vm_create: userdata: ")]
    said = "\n".join(ended.lines[failed:])
    assert "no userdata within 1 seconds" in said and "OpenStack: " in said and "EC2: " in said
