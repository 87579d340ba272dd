"""python -m vmimage.builder on userdata from a file, without a build: its exit code and its words, and that they tell no secret."""

import json
import subprocess
import sys

import pytest

SECRET = "hunter2"
HG, GIT = "ami.hg_address_variation: https://hg.example.org/web\n", "ami.git_address_variation: https://git.example.org/web\n"

#: userdata, and what it sets
GOOD = {
    "nothing": ("", []),
    "white space": (" \n\t\n", []),
    "comments": ("# ami.name: web\n", []),
    "empty settings": ("ami:\nkeystone: {}\n", []),
    "one setting": ("ami.name: web\n", ["grain ami.name"]),
    "flat": ("ami.type: debian\nami.release: trixie\n", ["grain ami.release", "grain ami.type"]),
    "nested": ("ami: {type: debian, release: trixie}\n", ["grain ami.release", "grain ami.type"]),
    "flat and nested": ("ami: {name: web}\nami.keep: 2\n", ["grain ami.keep", "grain ami.name"]),
    "with carriage returns": ("ami.name: web\r\nami.keep: 2\r\n", ["grain ami.keep", "grain ami.name"]),
    "behind a byte order mark": ("\ufeffami.name: web\n", ["grain ami.name"]),
    "behind a mark of YAML": ("%YAML 1.1\n---\nami.name: web\n...\n", ["grain ami.name"]),
    "JSON": ('{"ami": {"name": "web", "update": false}}', ["grain ami.name", "grain ami.update"]),
    "hg at a revision": (
        HG + "ami.hg_rev_variation: 249:9ed741a55f17\n",
        ["grain ami.hg_address_variation", "grain ami.hg_rev_variation"],
    ),
    "git at a branch": (
        GIT + "ami.git_rev_variation: stable\n",
        ["grain ami.git_address_variation", "grain ami.git_rev_variation"],
    ),
    "a user of ssh is kept like a secret": (
        "ami.hg_address_variation: ssh://hg@hg.example.org/web\n",
        ["secret ami.hg_address_variation"],
    ),
    "code of its own": (HG + "ami.git_address: file:///srv/code\n", ["grain ami.git_address", "grain ami.hg_address_variation"]),
    "a password": (f"ami.name: web\nkeystone.password: {SECRET}\n", ["grain ami.name", "secret keystone.password"]),
    "pillar": (f"ami.pillar: {{db: {{password: {SECRET}}}}}\n", ["secret ami.pillar"]),
    "a password of a base": (f"ami.base: https://me:{SECRET}@example.org/a.img\n", ["secret ami.base"]),
    "a secret by its name": (f"ami.properties: {{api_token: {SECRET}}}\n", ["secret ami.properties"]),
    "an end": ("ami.when_done: poweroff\n", ["grain ami.when_done"]),
    "many lines": ("#" * 65000 + "\nami.name: web\n", ["grain ami.name"]),
}

#: userdata that is none of our business, and what it is
OTHERS = {
    "a script": (b"#!/bin/sh\necho hunter2\n", "script"),
    "cloud-config": (b"#cloud-config\npassword: hunter2\n", "cloud-config"),
    "an include": (b"#include\nhttps://example.org/hunter2\n", "cloud-init"),
    "MIME": (b"MIME-Version: 1.0\nContent-Type: multipart/mixed\n\nhunter2\n", "mime"),
    "gzip": (b"\x1f\x8b\x08\0\0\0\0\0", "compressed"),
    "zstd": (b"\x28\xb5\x2f\xfd\0", "compressed"),
    "a program": (b"\x7fELF\x02\x01\x01\0", "program"),
    "base64": (b"YW1pLm5hbWU6IHdlYg==", "base64"),
}

#: userdata, what is wrong with it, and what to do
WRONG = {
    "no YAML": ("ami.name: [\n", "the userdata (line 2) is not YAML", "check its quotes"),
    "a tab": ("ami:\n\tname: web\n", "the userdata (line 2) is not YAML", "YAML wants spaces"),
    "an open quote": (f"keystone.password: '{SECRET}\n", "the userdata (line 2) is not YAML", "check its quotes"),
    "a list": ("- ami.name: web\n", "the userdata is YAML, but no settings", "KEY: VALUE"),
    "a text": (SECRET, "the userdata is YAML, but no settings", "KEY: VALUE"),
    "no space after the colon": (f"keystone.password:{SECRET}\n", "the userdata is YAML, but no settings", "KEY: VALUE"),
    "a page of a portal": (f"<html>{SECRET}</html>", "the userdata is YAML, but no settings", "KEY: VALUE"),
    "two documents": ("ami.name: a\n---\nami.name: b\n", "the userdata (line 2) holds a second document", "remove the line"),
    "a key twice": ("ami.name: a\nami.name: b\n", "ami.name in the userdata (line 2) stands twice", "keep one"),
    "nested and flat": (
        "ami: {name: a}\nami.name: a\n",
        "ami.name in the userdata (line 2) stands twice, nested and flat",
        "keep one",
    ),
    "an alias": (
        f"ami.pillar: {{a: &x [{SECRET}], b: *x}}\n",
        "ami.pillar.a in the userdata (line 1) has an anchor",
        "write the value out",
    ),
    "a tag": (
        f"ami.name: !!python/object/apply:os.system [{SECRET}]\n",
        "ami.name in the userdata (line 1) has a tag",
        "in quotes",
    ),
    "very deep": (
        "ami.pillar: " + "[" * 999 + "]" * 999,
        "ami.pillar in the userdata (line 1) is nested too deeply",
        "20 levels",
    ),
    "an unknown key": ("ami.relase: sid\n", "unknown setting ami.relase in the userdata (line 1)", "did you mean ami.release?"),
    "an unknown top": ("amy.name: web\n", "unknown key amy.name in the userdata (line 1)", "did you mean ami.name?"),
    "a wrong type": ("ami.update: maybe\n", "ami.update in the userdata (line 1) is 'maybe', not a bool", "ami.update: "),
    "a wrong value": ("ami.when_done: reboot\n", "ami.when_done in the userdata (line 1) is 'reboot'", "stay or poweroff"),
    "a number for a text": (
        HG + "ami.hg_rev_variation: 249\n",
        "ami.hg_rev_variation in the userdata (line 2) is a number",
        "in quotes",
    ),
    "a number that is another": (
        "keystone.password: 0123\n",
        "keystone.password in the userdata (line 1) is something else",
        "in quotes",
    ),
    "pillar that is a text": (
        f"ami.pillar: {SECRET}\n",
        "ami.pillar in the userdata (line 1) is ***, not a dict",
        "further pillar",
    ),
    "hg and git": (HG + GIT, "ami.git_address_variation in the userdata (line 2) is", "ami.hg_address_variation is set, too"),
    "a revision alone": (
        "ami.git_rev_variation: v1\n",
        "ami.git_rev_variation in the userdata (line 1) is 'v1'",
        "ami.git_address_variation",
    ),
    "a repository beside a directory": (HG + "ami.variation: /srv/web\n", "ami.variation in the userdata (line 2)", "keep one"),
    "an option for an address": (
        f"ami.hg_address_variation: --config=alias.pull=!{SECRET}\n",
        "ami.hg_address_variation in the userdata (line 1): the address, or a part of it, begins with '-'",
        "https://HOST/PATH",
    ),
    "a transport of git": (
        f"ami.git_address_variation: 'ext::sh -c {SECRET}'\n",
        "ami.git_address_variation in the userdata (line 1): the address names a transport of git",
        "https://HOST/PATH",
    ),
    "a password in an address": (
        f"ami.hg_address_variation: https://me:{SECRET}@example.org/web\n",
        "ami.hg_address_variation in the userdata (line 1): a password stands in the address",
        "netrc",
    ),
    "a revision to compute": (
        HG + "ami.hg_rev_variation: max(all())\n",
        "ami.hg_rev_variation in the userdata (line 2): 'max(all())' is neither a hash nor a name",
        "NUMBER:HASH",
    ),
    "an option for mmdebstrap": (
        "ami.mirror: ['--setup-hook=reboot']\n",
        "ami.mirror in the userdata (line 1) is no mirror",
        "deb http",
    ),
    "a password in a list": (
        f"keystone.password: [{SECRET}]\n",
        "keystone.password in the userdata (line 1) is not one value",
        "quotes",
    ),
    "an unknown key of keystone": (
        f"keystone.pasword: {SECRET}\n",
        "unknown setting keystone.pasword in the userdata (line 1)",
        "did you mean keystone.password?",
    ),
    "too much": ("#" * 66000, "the userdata has more than 64 KiB", "a few lines"),
    "no text": (bytes(range(128, 256)), "the userdata (line 1) is not UTF-8", "save it as UTF-8"),
    "null bytes": (b"ami.name: a\0b\n", "the userdata holds null bytes", "save it as UTF-8"),
    "UTF-16": ("ami.name: web\n".encode("utf-16"), "the userdata holds null bytes", "save it as UTF-8"),
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


@pytest.mark.parametrize("name", GOOD)
def test_good_userdata_is_told_key_by_key_and_no_value_with_it(machine, name):
    userdata, told = GOOD[name]
    ended = machine.run(userdata, "--dry-run")
    told = told or ["nothing is set in userdata"]
    assert ended.lines == ["vm_create: userdata", *(f"userdata: {one}" for one in told), "vm_create: nothing was changed"]
    assert ended.code == 0 and machine.is_untouched()


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_none_of_our_business_is_named_and_left_alone(machine, name):
    userdata, kind = OTHERS[name]
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
