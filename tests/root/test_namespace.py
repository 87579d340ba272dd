"""What a root sees of its machine: the name that it gave itself, and a log."""

import os
import socket
import time
from pathlib import Path

from vmimage.inhabit import swallow_log
from vmimage.namespace import RENAME, run_privately
from vmimage.workspace import visible_pid


def test_a_root_takes_another_name_and_the_machine_keeps_its_own():
    def work():
        os.kill(1, RENAME)
        until = time.monotonic() + 20
        while os.uname().nodename == "before" and time.monotonic() < until:
            time.sleep(0.01)
        return os.uname().nodename

    own = socket.gethostname()
    assert run_privately(work, hostname="before", read_hostname=lambda: "after.example.org\n") == "after.example.org"
    assert socket.gethostname() == own


def test_a_name_that_cannot_be_read_ends_nothing():
    def work():
        os.kill(1, RENAME)
        time.sleep(0.1)
        return os.uname().nodename

    assert run_privately(work, hostname="before", read_hostname=lambda: Path("/nothing/there").read_text()) == "before"


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
