"""How a run of the builder ends on its way through the real Salt: its last line, its exit code, and whether the machine goes off."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest
from building import PROJECT
from waiting import HANG_SECONDS

OFF = "ami.when_done: poweroff\n"
#: the builder with a lock of its own: that of this machine is for root alone
RUN = "import sys; from pathlib import Path; from vmimage import builder; builder.LOCK = Path('lock'); sys.exit(builder.main())"


#: a vm_create that has nothing to do
PUBLISHED_BEFORE = """
from vmimage.settings.schema import KEYS, Settings

def settings():
    return {key: {"value": getattr(Settings(), key)} for key in KEYS}

def create_variation(**_):
    published = {"name": "web-amd64", "changed": False, "image": "one", "kernel": "two", "ramdisk": "three"}
    return {"name": "web", "manifest": "/web.manifest.json", "variation": {"revision": "249:9ed741a55f17"}, "published": published}
"""


class Machine:
    """A masterless minion whose highstate is one state, and a systemctl that only tells that it was called."""

    def __init__(self, top):
        self.top, self.states = top, top / "states"
        for path in (top / "etc", top / "bin", self.states):
            path.mkdir()
        self.configure()
        self.highstate("test.nop: []")
        (top / "bin/systemctl").write_text(f'#!/bin/sh\necho "$*" >> {top}/called\n')
        (top / "bin/systemctl").chmod(0o755)

    def configure(self, **more):
        own = {"file_client": "local", "root_dir": str(self.top / "salt"), "file_roots": {"base": [str(self.states)]}}
        places = {f"ami.{key}": str(self.top / key) for key in ("workspace", "output", "cache", "root")}
        (self.top / "etc/minion").write_text(json.dumps({**own, **places, **more}))

    def highstate(self, state):
        (self.states / "top.sls").write_text("base: {'*': [ready]}\n")
        (self.states / "ready.sls").write_text(f"a builder is ready:\n  {state}\n")

    def start(self, userdata):
        (self.top / "userdata").write_text(userdata)
        argv = [sys.executable, "-c", RUN, "--config-dir", "etc", "--home", self.top / "home", "--userdata", "userdata"]
        environment = {**os.environ, "PATH": f"{self.top}/bin:{os.environ['PATH']}"}
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(argv, cwd=self.top, env=environment, **options)

    def run(self, userdata):
        """``(exit code, lines)``"""
        with self.start(userdata) as child:
            said = child.communicate(timeout=HANG_SECONDS)[0]
        assert "Traceback" not in said, said
        return child.returncode, said.splitlines()

    @property
    def is_off(self):
        called = self.top / "called"
        return called.exists() and "poweroff --no-block" in called.read_text().splitlines()  # Salt asks it, too


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def failed_at(step, lines):
    (found,) = [line for line in lines if re.match("vm_create: FAILED at ", line)]
    assert found.startswith(f"vm_create: FAILED at {step}: "), "\n".join(lines)
    return "\n".join(lines[lines.index(f"vm_create: {step}") + 1 :])


def test_a_script_is_nothing_to_build_and_no_failure_and_the_machine_goes_off_where_the_pillar_asks(machine):
    machine.configure(**{"ami.when_done": "poweroff"})
    code, lines = machine.run("#!/bin/sh\n")
    assert (code, lines[-1]) == (0, "vm_create: nothing to build: the userdata is script, and ami.variation is not set")
    assert [line for line in lines if line.startswith("vm_create: ")][:3] == [
        "vm_create: userdata",
        "vm_create: sync",
        "vm_create: code",
    ]
    assert not (machine.top / "etc/grains").exists() and not list(machine.top.glob("etc/minion.d/*-userdata.conf"))
    assert machine.is_off


def test_where_the_minion_config_names_a_repository_a_script_is_no_reason_not_to_build(machine, tmp_path):
    machine.configure(**{"ami.hg_address_variation": str(tmp_path / "nowhere"), "ami.tries": 1})
    code, lines = machine.run("#!/bin/sh\n")
    assert code == 1 and f"{tmp_path}/nowhere" in failed_at("variation", lines)


def test_under_test_true_of_the_minion_config_it_works_all_the_same(machine, tmp_path):
    machine.highstate(f"file.touch:\n    - name: {tmp_path}/there")
    machine.configure(test=True)
    failed_at("variation", machine.run("ami.variation: /nowhere\n")[1])
    assert (tmp_path / "there").exists()


def test_a_highstate_that_fails_is_named_nothing_is_built_and_the_machine_goes_off_where_that_is_asked(machine):
    machine.highstate("test.fail_without_changes: []")
    code, lines = machine.run(OFF)
    assert code == 1 and machine.is_off
    assert lines.index("vm_create: this machine is switched off after the next line (ami.when_done)") < len(lines) - 1
    assert "'a builder is ready' (ready)" in failed_at("highstate", lines) and not (machine.top / "workspace").exists()


def test_a_failed_machine_that_is_kept_for_a_look_stays_on(machine):
    machine.highstate("test.fail_without_changes: []")
    assert machine.run(f"{OFF}ami.keep_on_failure: true\n")[0] == 1
    assert not machine.is_off


def test_a_machine_whose_salt_is_broken_goes_off_as_its_userdata_asks_and_has_the_code_again_that_it_came_with(machine):
    """Code that was fetched and cannot run must not keep the next run from other code."""
    home = machine.top / "home"
    (home / "fetched").mkdir(parents=True)
    (home / "project").symlink_to(PROJECT)
    (home / "current").symlink_to("fetched")
    (machine.top / "etc/minion").write_text("a: [\n")
    code, lines = machine.run(OFF)
    assert code == 1 and "Error parsing configuration file" in failed_at("sync", lines)
    assert machine.is_off and (home / "current").resolve() == PROJECT


def test_what_was_published_before_is_said_to_be_there_already(machine):
    (machine.states / "_modules").mkdir()
    (machine.states / "_modules/vm_create.py").write_text(PUBLISHED_BEFORE)
    code, lines = machine.run("ami.name: web\n")
    parts = "image one, kernel two, ramdisk three"
    assert (code, lines[-1]) == (0, f"vm_create: web-amd64 was already published: {parts}, from 249:9ed741a55f17")
    assert not machine.is_off


def test_settings_that_contradict_each_other_are_named_by_key_and_place(machine):
    machine.configure(**{"ami.variation": "/srv/web"})
    code, lines = machine.run("ami.hg_address_variation: /srv/hg\n")
    said = failed_at("sync", lines)
    assert code == 1 and "ami.variation in the minion config is '/srv/web'" in said and "keep one" in said
    assert not machine.is_off


def test_a_run_that_is_stopped_says_so_and_leaves_the_machine_to_who_stopped_it(machine, tmp_path):
    there = tmp_path / "there"
    machine.highstate(f"cmd.run:\n    - name: touch {there} && sleep 60")
    with machine.start(OFF) as child:
        lines = []
        for line in child.stdout:
            lines.append(line.rstrip())
            if lines[-1] == "vm_create: highstate":
                child.send_signal(signal.SIGTERM)
    assert child.returncode == 1 and "stopped by SIGTERM" in failed_at("highstate", lines)
    assert not machine.is_off


def test_a_second_run_at_the_same_time_is_refused_and_switches_nothing_off(machine):
    machine.highstate("cmd.run:\n    - name: sleep 60")
    with machine.start(OFF) as first:
        while first.stdout.readline().rstrip() != "vm_create: highstate":
            pass
        code, lines = machine.run(OFF)
        first.send_signal(signal.SIGTERM)
        first.stdout.read()
    assert code == 1 and f"the image of this builder is already being built, by process {first.pid}" in failed_at(
        "userdata", lines
    )
    assert not machine.is_off
