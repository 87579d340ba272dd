"""What processes of a build inherit that fork and go on as Python: for as long as they live they hold it."""

import json
import os
import re

import pytest

#: is imported by the Python of a build; notes at each fork what the new process holds, and how many threads its parent has
NOTING = """
import contextlib, json, os, threading

fork = os.fork

def held():
    for number in os.listdir("/proc/self/fd"):
        try:
            path = os.readlink(f"/proc/self/fd/{number}")
            with open(f"/proc/self/fdinfo/{number}") as file:
                facts = file.read()
        except OSError:
            continue
        flags = int(facts.split("flags:")[1].split()[0], 8)
        yield path, flags & os.O_ACCMODE != os.O_RDONLY, "lock:" in facts

def noting():
    threads, pid = threading.active_count(), fork()
    if pid == 0:
        with contextlib.suppress(OSError), open(LOG, "a") as log:  # in a root it is not there: such a process is about to execute
            log.write(json.dumps({"threads": threads, "held": list(held())}) + "\\n")
    return pid

os.fork = noting
"""
#: of the calling Salt, and of the build: nobody executes, unmounts or detaches them
WRITTEN = r"/dev/(null|pts/.*)|(pipe|socket|anon_inode):.*|/memfd:answer .*|.*/(out|err|build\.log|minion|forks|lock|[^/]*\.lock|cgroup\.procs)"
#: that a process may hold until it ends: of the workspace, of a base that is prepared, of lists and packages that are shown
LOCKED = r".*/(lock|[^/]*\.lock|bases/[^/]*|apt/[0-9a-f]+|archives/[0-9a-f]+)"


@pytest.mark.light
def test_no_process_inherits_a_program_that_is_being_written_nor_what_keeps_a_disk_or_a_lock_busy(salt, tmp_path, monkeypatch):
    """A program that any process has open for writing cannot be started (ETXTBSY)."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(f"LOG = {str(tmp_path / 'forks')!r}\n{NOTING}", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    text = "a program of its own is run:\n  cmd.run: [{name: systemctl is-enabled ssh || true}]\n"
    settings = {"name": "own", "variation": salt.variation("own", variation=text), "update": False, "publish": False}
    child = salt.start("vm_create.create_variation", **settings)
    out, said = child.communicate()
    assert child.returncode == 0, f"{out}{said}"
    noted = [json.loads(line) for line in (tmp_path / "forks").read_text(encoding="utf-8").splitlines()]
    assert len(noted) > 10
    assert {fork["threads"] for fork in noted} == {1}, "another thread might be writing a program"
    held = [tuple(facts) for fork in noted for facts in fork["held"]]
    assert {path for path, is_written, _ in held if is_written and not re.fullmatch(WRITTEN, path)} == set()
    assert {path for path, _, is_locked in held if is_locked and not re.fullmatch(LOCKED, path)} == set()
    root = os.fspath(tmp_path / "root")
    assert {path for path, *_ in held if path.startswith(("/dev/loop", root))} == set()
