"""What a root sees of its machine, a log, and by which process the machine knows its work."""

import os
import socket

from vmimage.root.enter import swallow_log
from vmimage.system.lock import visible_pid
from vmimage.system.namespace import run_privately


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
