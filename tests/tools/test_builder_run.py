"""python -m vmimage.builder on userdata from a file, without a build: its exit code and its words, and that they tell no secret."""

import json
import subprocess
import sys

import pytest

SECRET = "hunter2"
HG, GIT = "ami.hg_address_variation: https://hg.example.org/web\n", "ami.git_address_variation: https://git.example.org/web\n"

#: userdata, and what a dry run says of it: the kinds of answers; what leads to which is a table of the unit tests (test_userdata)
GOOD = (
    f"ami: {{name: web}}\nami.keep: 2\nkeystone.password: {SECRET}\n",
    ["grain ami.keep", "grain ami.name", "secret keystone.password"],
)
OTHER = (b"#!/bin/sh\necho hunter2\n", "script")
#: userdata, what is wrong with it, and what to do
WRONG = {
    "an unknown key": (
        f"keystone.pasword: {SECRET}\n",
        "unknown setting keystone.pasword in the userdata (line 1)",
        "did you mean keystone.password?",
    ),
    "an escape of the terminal": (b"ami.name: \x1b[2J\n", "the userdata (line 1) is not YAML", "cannot be seen"),
}


class Ended:
    def __init__(self, done):
        self.code, self.text, self.lines = done.returncode, done.stdout, done.stdout.splitlines()


class Machine:
    """A masterless minion of its own, in which no userdata stands yet: should a run go on that must not, it harms nobody."""

    def __init__(self, top):
        self.top, self.etc = top, top / "etc"
        self.etc.mkdir()
        config = {"file_client": "local", "root_dir": str(top / "salt"), "file_roots": {"base": [str(top / "states")]}}
        (self.etc / "minion").write_text(json.dumps(config))

    def run(self, userdata, *words):
        (self.top / "userdata").write_bytes(userdata if isinstance(userdata, bytes) else userdata.encode())
        return self.start("--userdata", "userdata", *words)

    def start(self, *words):
        argv = [sys.executable, "-m", "vmimage.builder", "--config-dir", "etc", "--home", "home", *words]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL, "timeout": 60}
        return Ended(subprocess.run(argv, cwd=self.top, text=True, check=False, **options))

    def is_untouched(self):
        return {str(path.relative_to(self.top)) for path in self.top.rglob("*")} <= {"etc", "etc/minion", "userdata"}


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_good_userdata_is_named_key_by_key_without_values(machine):
    userdata, named = GOOD
    ended = machine.run(userdata, "--dry-run")
    assert ended.lines == ["vm_create: userdata", *(f"userdata: {key}" for key in named), "vm_create: nothing was changed"]
    assert ended.code == 0 and machine.is_untouched()


def test_userdata_of_another_kind_is_named_and_left_alone(machine):
    userdata, kind = OTHER
    ended = machine.run(userdata, "--dry-run")
    left = f"userdata: userdata holds no settings ({kind}), and is left alone"
    assert ended.lines == ["vm_create: userdata", left, "vm_create: nothing was changed"]
    assert ended.code == 0 and machine.is_untouched()


@pytest.mark.parametrize("name", WRONG)
def test_wrong_userdata_fails_with_what_is_wrong_and_what_to_do(machine, name):
    userdata, wrong, remedy = WRONG[name]
    ended = machine.run(userdata, "--dry-run")
    assert ended.code == 1
    begin, told, hint, last = ended.lines
    assert begin == "vm_create: userdata" and told.startswith(f"vm_create: userdata: {wrong}"), ended.text
    assert last.startswith(f"vm_create: FAILED at userdata: {wrong}")
    assert hint.startswith("  -> ") and remedy in hint, ended.text
    assert SECRET not in ended.text and "".join(ended.lines).isprintable()
    assert machine.is_untouched()


def test_wrong_userdata_leaves_grains_and_secrets_of_an_earlier_boot_as_they_were(machine):
    etc = machine.etc
    (etc / "minion.d").mkdir()
    files = {
        etc / "grains": "# by hand\nrole: builder\nami: {name: old}\n",
        etc / "minion.d/vm_create-userdata.conf": "keystone: {user: old}\n",
    }
    for path, text in files.items():
        path.write_text(text)
    for userdata, _, _ in WRONG.values():
        assert machine.run(userdata).code == 1
    assert {path: path.read_text() for path in files} == files
    assert sorted(path.name for path in etc.rglob("*")) == ["grains", "minion", "minion.d", "vm_create-userdata.conf"]


def test_a_dry_run_needs_no_salt(machine):
    (machine.etc / "minion").unlink()
    assert machine.run(HG + "keystone.user: me\n", "--dry-run").code == 0 and machine.is_untouched()


def test_a_dry_run_switches_nothing_off(machine):
    assert "switched off" not in machine.run("ami.when_done: poweroff\n", "--dry-run").text


def test_a_file_that_is_not_there_is_named(machine):
    ended = machine.start("--userdata", "nowhere", "--dry-run")
    assert ended.code == 1
    assert ended.lines[-1] == "vm_create: FAILED at userdata: the userdata nowhere cannot be read: No such file or directory"


def test_a_directory_in_its_place_is_named(machine):
    ended = machine.start("--userdata", ".", "--dry-run")
    assert ended.code == 1 and ended.lines[-1].endswith("the userdata . cannot be read: Is a directory")


def test_where_no_cloud_answers_it_says_what_was_asked(machine):
    ended = machine.start("--metadata", "http://127.0.0.1:9", "--deadline", "1", "--dry-run")
    assert ended.code == 1
    (failed,) = [number for number, line in enumerate(ended.lines) if line.startswith("vm_create: userdata: ")]
    said = "\n".join(ended.lines[failed:])
    assert "no userdata within 1 seconds" in said and "OpenStack: " in said and "EC2: " in said


def test_the_example_for_users_passes(machine, request):
    example = request.config.rootpath / "userdata.example"
    ended = machine.start("--userdata", str(example), "--dry-run")
    assert ended.code == 0 and ended.lines[-1] == "vm_create: nothing was changed"
