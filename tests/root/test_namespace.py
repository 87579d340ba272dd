"""What a root sees of its machine, a log, and by which process the machine knows its work."""

import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from vmimage.root.enter import swallow_log
from vmimage.system.lock import visible_pid
from vmimage.system.namespace import run_privately

needs_mount = pytest.mark.needs("mount", "umount")


def test_what_is_logged_in_a_root_finds_a_reader(tmp_path):
    (tmp_path / "dev").mkdir()

    def work():
        swallow_log(tmp_path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
            ours.settimeout(20)
            ours.connect(f"{tmp_path}/dev/log")
            return sum(ours.send(b"a line") for _ in range(2000))  # more than a socket holds

    assert run_privately(work) == 12000


def test_work_is_known_by_the_process_that_the_machine_sees():
    assert run_privately(lambda: run_privately(visible_pid)) == os.getpid()


@pytest.fixture
def shared(tmp_path):
    """A directory whose mounts other namespaces learn of, as below the root of a machine with systemd."""
    subprocess.run(["mount", "-t", "tmpfs", "tests", tmp_path], check=True)
    try:
        subprocess.run(["mount", "--make-shared", tmp_path], check=True)
        (tmp_path / "disk").mkdir()
        yield tmp_path
    finally:
        subprocess.run(["umount", "--recursive", tmp_path], check=True)


def mounted_points():
    return {line.split()[4] for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()}


@needs_mount
def test_what_the_machine_unmounts_is_held_by_no_build_and_it_sees_none_of_a_build_s_mounts(shared):
    point, reading, writing = str(shared / "disk"), *os.pipe()
    gone, said = os.pipe()
    subprocess.run(["mount", "-t", "tmpfs", "tests", point], check=True)

    def unmount():
        os.read(reading, 1)
        seen.append(mounted_points())
        subprocess.run(["umount", point], check=True)
        os.write(said, b"1")

    def work():
        (shared / "own").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tests", shared / "own"], check=True)
        before = mounted_points()
        os.write(writing, b"1")
        os.read(gone, 1)
        return before, mounted_points()

    seen: list = []
    beside = threading.Thread(target=unmount)
    beside.start()
    before, after = run_privately(work)
    beside.join()
    own = str(shared / "own")
    assert point in before and own in before
    assert point not in after and own in after
    assert own not in seen[0]
