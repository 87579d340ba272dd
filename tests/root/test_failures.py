"""A variation that does not go through: the exit code, what is said, and that there is no triplet."""

import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

import pytest

pytestmark = pytest.mark.light

GOOD = "a file:\n  file.managed:\n    - name: /etc/mark\n    - contents: here\n"
FAILING = (
    GOOD
    + "a command that fails:\n  cmd.run:\n    - name: echo this is why; exit 7\nafter it:\n  test.nop:\n    - require: [{cmd: a command that fails}]\n"
)

CASES = {
    "a failing state": (
        {"variation": FAILING},
        ["2 of 3 states", "cmd.run", "a command that fails", "this is why", "1 more that required"],
    ),
    "a Jinja error": ({"variation": "{{ nothing.at.all }}"}, ["does not compile", "nothing"]),
    "an unknown state module": ({"variation": "a:\n  nosuch.thing: []\n"}, ["nosuch"]),
    "a mistyped function": (
        {"variation": "a:\n  file.managd:\n    - name: /etc/mark\n"},
        ["'file.managd'", "did you mean file.managed?"],
    ),
    "a YAML error": ({"variation": GOOD + "   - mode: 644\n"}, ["'base:variation'", "in the SLS as it is rendered, line 5"]),
    "a text that is no YAML": (
        {"variation": "a:\n  file.managed:\n    - name: /etc/mark: x\n"},
        ["'base:variation'", "; line 3", "- name: /etc/mark: x    <===="],
    ),
    "no states": ({"variation": "# nothing\n"}, ["holds no states"]),
    "a top file that matches nobody": ({"top.sls": "base:\n  'other':\n    - web\n"}, ["variation"]),
    "a pillar that does not render": (
        {"variation": GOOD, "pillar/top.sls": "base: {'*': [a]}", "pillar/a.sls": "{{ x.y.z }}"},
        ["illar"],
    ),
}


@pytest.mark.parametrize(("files", "words"), CASES.values(), ids=CASES)
def test_it_stops_the_build_and_says_why(salt, bootstrapped, files, words):
    said = salt.bad("vm_create.create_variation", name="bad", variation=salt.variation("bad", **files), update=False)
    for word in words:
        assert word in said, said
    assert not list(salt.output.glob("*"))
    assert {path.name for path in salt.workspace.glob("bad/*")} <= {"lock", "build.log", "failed.json"}  # for vm_create.report


def test_why_a_build_failed_is_said_once_and_stands_in_its_log(salt):
    why = "there is no file /srv/none"
    said = salt.bad("vm_create.create_variation", name="bad", variation=salt.variation("bad", variation=GOOD), base="/srv/none")
    assert said.count(why) == 1 and said.count("-> ami.base is") == 1 and "base failed after" in said, said
    assert (salt.workspace / "bad/build.log").read_text() == f"base failed: {why}\n"


def test_of_a_failed_build_no_directory_stays_below_mnt(salt, bootstrapped):
    name = f"failing-{uuid.uuid4().hex[:12]}"
    salt.configure(**{"ami.root": None})
    salt.bad("vm_create.create_variation", name=name, variation=salt.variation("bad", variation=FAILING), update=False)
    assert not Path("/mnt", name).exists()


def test_a_mirror_that_cannot_be_reached_is_no_service_of_the_image(salt):
    salt.own = {}
    salt.configure(**{"ami.mirror": "http://127.0.0.1:9/debian", "ami.cache": str(salt.directory / "cache")})
    said = salt.bad("vm_create.create_variation", name="web", variation=salt.variation("web", variation=GOOD))
    assert "is the mirror reached from here?" in said and "ami.live" not in said, said


def test_a_missing_variation_is_named_before_any_work(salt):
    said = salt.bad("vm_create.create_variation", variation="/nowhere/web")
    assert "there is no variation /nowhere/web" in said
    said = salt.bad("vm_create.create_variation", variation="./web")
    assert "there is no variation ./web" in said and "give an absolute path" in said
    said = salt.bad("vm_create.create_variation", variation=f"{salt.variation('a', variation=GOOD)}/variation.sls")
    assert "variation.sls is a file" in said and "give its directory" in said
    assert "is not in the file_roots" in salt.bad("vm_create.create_variation", variation={"states": ["nosuch"]})


def test_what_a_state_writes_and_the_seal_removes_is_said(salt, bootstrapped):
    lost = salt.variation("lost", variation="/root/.bash_history:\n  file.managed:\n    - contents: here\n")
    build = salt.start("vm_create.create_variation", name="lost", variation=lost, update=False)
    said = build.communicate()[1]
    assert build.returncode == 0 and "/root/.bash_history is sealed: a state of the variation writes it" in said, said


def test_an_argument_that_cannot_be_meant_is_named(salt):
    assert "the argument forward is '22x'" in salt.bad("vm_create.boot", "web", forward="22x")
    assert "the argument seconds is 'soon'" in salt.bad("vm_create.boot", "web", seconds="soon")
    assert "the argument command is False, not a string" in salt.bad("vm_create.shell", "web", command="false")
    assert "the argument number is 'x'" in salt.bad("vm_create.build_log", "web", number="x")


def test_an_earlier_triplet_survives_a_failed_build(salt, bootstrapped):
    good = salt.variation("good", variation=GOOD)
    salt.good("vm_create.create_variation", name="web", variation=good, update=False)
    before = salt.manifest("web")
    salt.bad("vm_create.create_variation", name="web", variation=salt.variation("bad", variation=FAILING), update=False)
    assert salt.manifest("web") == before
    found = sorted(path.name for path in salt.output.iterdir())
    assert found == ["kernel_web", "ramdisk_web", "web.build.json", "web.img", "web.manifest.json"]
    assert [salt.good("vm_create.release", "web"), salt.good("vm_create.release", "web")] == [
        True,
        False,
    ]  # the log of the failure


def test_a_failed_build_can_be_kept_for_a_look(salt, bootstrapped):
    bad = salt.variation("bad", variation=FAILING)
    said = salt.bad("vm_create.create_variation", name="bad", variation=bad, update=False, keep_on_failure=True)
    root = salt.directory / "root"
    assert f"its root is open at {root}" in said
    assert (root / "etc/mark").read_text(encoding="utf-8") == "here\n"
    assert salt.good("vm_create.status")["bad"]["open"] is True
    assert "vm_create.shell bad opens a shell" in said
    assert "vm_create.release bad" in salt.bad("vm_create.create_variation", name="bad", variation=bad)
    assert salt.good("vm_create.release", "bad") is True
    assert not list(root.iterdir())


def test_who_is_not_root_is_refused(salt):
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:  # a directory that another user can reach
        shutil.copytree(salt.directory, directory, dirs_exist_ok=True)
        salt.directory = Path(directory)
        salt.configure()
        subprocess.run(["chown", "-R", "nobody", directory], check=True)
        argv = ["setpriv", "--reuid=nobody", "--clear-groups", *salt.argv("vm_create.create_variation")]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "building an image needs root" in done.stderr, done.stderr


def test_a_machine_without_loop_devices_is_refused(salt):
    inside = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /dev && mknod /dev/null c 1 3 && exec "$@"', "sh"]
    done = subprocess.run([*inside, *salt.argv("vm_create.create_variation")], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "/dev/loop-control" in done.stderr


def test_too_little_room_is_reported_before_work_starts(salt, bootstrapped):
    said = salt.bad("vm_create.create_variation", room_mib=900_000_000)
    assert "free" in said and "ami.room_mib" in said
    assert not list(salt.output.glob("*"))


def test_a_name_that_is_being_built_is_refused(salt, bootstrapped):
    slow = salt.variation("slow", variation="wait:\n  cmd.run:\n    - name: touch /run/begun; sleep 60\n")
    first = salt.start("vm_create.create_variation", name="slow", variation=slow, update=False)
    try:
        for line in first.stderr:
            if "root done" in line:
                break
        assert f"already being built, by process {first.pid}" in salt.bad(
            "vm_create.create_variation", name="slow", variation=slow
        )
        assert salt.good("vm_create.status")["slow"]["busy"] is True
        assert "is being built now" in salt.bad("vm_create.release", "slow")
    finally:
        first.kill()
        first.wait()
