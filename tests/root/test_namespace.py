"""What a root sees of its machine: the name that it gave itself, and a first process of systemd's name."""

import os
import socket
import time
from pathlib import Path

from vmimage.namespace import RENAME, run_privately


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


def test_the_first_process_has_the_name_that_scripts_look_for():
    assert run_privately(lambda: Path("/proc/1/comm").read_text()) == "systemd\n"
