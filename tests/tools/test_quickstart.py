"""quickstart: its exit code when it is stopped, what it says of its parts, and whose settings it takes."""

import os
import re
import signal
import subprocess
import time

import pytest
from building import PROJECT
from signals import as_from_a_terminal
from waiting import ended_if_it_hangs

#: what Salt does with a signal: it ends with 0, it is killed, it loses the first
SALTS = {
    "ends with 0": "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))",
    "is killed": "",
    "loses the first": "import signal, sys; s = []; signal.signal(signal.SIGTERM, lambda *_: s and sys.exit(0) or s.append(1))",
}


@pytest.fixture(autouse=True)
def no_hang():
    with ended_if_it_hangs():
        yield


@pytest.fixture
def start(tmp_path):
    """quickstart of an environment that is prepared, with a Salt of the test."""

    def begin(salt, *words):
        (tmp_path / "quickstart").write_text((PROJECT / "quickstart").read_text().replace("prepare; ", ""))
        (tmp_path / ".venv/bin").mkdir(parents=True)
        program = tmp_path / ".venv/bin/salt-call"
        program.write_text(f"#!/usr/bin/python3\n{salt}\nimport os, time\nopen('pid', 'w').write(f'{{os.getpid()}}\\n')\n")
        with open(program, "a") as file:
            file.write("import sys\nif 'quick' in sys.argv: sys.exit(7)\nfor _ in range(600): time.sleep(0.1)\n")
        program.chmod(0o755)
        return subprocess.Popen(["sh", "quickstart", *words], cwd=tmp_path, preexec_fn=as_from_a_terminal, start_new_session=True)

    return begin


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("salt", SALTS.values(), ids=SALTS)
def test_stopped_is_not_0_and_nothing_goes_on(start, tmp_path, salt, number, code):
    process = start(salt, "vm_create.plan")
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().endswith("\n"):
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait() == code
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_the_exit_code_of_a_function_is_passed_on(start):
    assert start("", "test.fine", "quick").wait() == 7


def test_at_the_end_it_says_how_long_each_part_took(start, tmp_path):
    said = run_no_boot(start, tmp_path, "import sys; sys.exit(0)")
    assert said.returncode == 0
    assert re.fullmatch(r"all in \d+ s: Debian's packages \d+ s, the build \d+ s", said.stderr.splitlines()[-1])


def test_a_build_that_failed_is_no_part_and_its_exit_code_is_passed_on(start, tmp_path):
    said = run_no_boot(start, tmp_path, "import sys; sys.exit(2)")
    assert said.returncode == 2 and "all in" not in said.stderr


def run_no_boot(start, directory, salt):
    """``quickstart --no-boot`` to its end, of whose preparation one part is left."""
    start(salt, "--help").wait()
    table = directory / ".venv/bin/python"
    table.write_text("#!/bin/sh\n", encoding="utf-8")
    table.chmod(0o755)
    script = directory / "quickstart"
    text = script.read_text(encoding="utf-8").replace("--no-boot) ", '--no-boot) timed "Debian\'s packages" true; ')
    script.write_text(text, encoding="utf-8")
    return subprocess.run(["sh", "quickstart", "--no-boot"], cwd=directory, capture_output=True, text=True)


@pytest.mark.parametrize("own", [False, True], ids=["the example", "one's own"])
def test_own_settings_take_the_place_of_the_example(own, tmp_path):
    script = (PROJECT / "quickstart").read_text().replace("--prepare) prepare ;;", "--prepare) configure_salt ;;")
    (tmp_path / "quickstart").write_text(script)
    (tmp_path / "pillar.example").write_text("ami: {name: example}\n")
    if own:
        (tmp_path / "pillar.sls").write_text("ami: {name: mine}\n")
    subprocess.run(["sh", "quickstart", "--prepare"], cwd=tmp_path, check=True)
    read = (tmp_path / ".venv/srv/pillar/ami.sls").read_text()
    assert read == f"ami: {{name: {'mine' if own else 'example'}}}\n"
    assert (tmp_path / "pillar.example").read_text() == "ami: {name: example}\n"
