"""What is said of a port of an image that was booted: against real listeners on the loopback."""

import socket
import threading
import time
from contextlib import contextmanager

import pytest
from vmimage.image import qemu


@contextmanager
def listening(serve):
    """A listener that hands each connection to ``serve``; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, args=(server, serve), daemon=True).start()
        yield server.getsockname()[1]


def accept(server, serve):
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        serve(connection)


def soon():
    return time.monotonic() + 0.1


def greet(connection):
    connection.sendall(b"SSH-2.0 here\r\nmore\r\n")
    connection.close()


kept = []


@pytest.mark.parametrize(
    ("serve", "answer"),
    [
        (greet, "SSH-2.0 here"),
        (lambda connection: connection.close(), qemu.REFUSED),  # as QEMU does for a port that the guest refuses
        (kept.append, qemu.SILENT),
    ],
    ids=["a greeting", "ended at once", "silent"],
)
def test_what_a_port_says(serve, answer, monkeypatch):
    monkeypatch.setattr(qemu, "_SILENT_SECONDS", 0.2)
    with listening(serve) as port:
        assert qemu.probe(port, "", soon()) == answer


def test_who_comes_up_before_the_deadline_is_waited_for():
    waits = [lambda connection: connection.close()] * 2 + [greet] * 9
    with listening(lambda connection: waits.pop(0)(connection)) as port:
        assert qemu.probe(port, "", time.monotonic() + 60) == "SSH-2.0 here"


def test_where_nobody_listens_it_is_refused():
    assert qemu.probe(qemu.free_port(), "", soon()) == qemu.REFUSED


def test_ports_that_are_refused_are_named_and_silent_ports_are_not():
    assert qemu.unanswered({"answers": {80: qemu.REFUSED, 22: "SSH-2.0", 5432: qemu.SILENT}}) == [80]
