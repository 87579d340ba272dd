"""What is said of a port of an image that was booted: against real listeners on the loopback."""

import socket
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from vmimage.image import qemu
from vmimage.image.login import Login
from vmimage.image.triplet import Triplet
from waiting import HANG_SECONDS


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
    ("serve", "silent_seconds", "answer"),
    [
        (greet, HANG_SECONDS, "SSH-2.0 here"),
        (lambda connection: connection.close(), HANG_SECONDS, qemu.REFUSED),  # as QEMU does for a port that the guest refuses
        (kept.append, 0.2, qemu.SILENT),
    ],
    ids=["a greeting", "ended at once", "silent"],
)
def test_what_a_port_says(serve, silent_seconds, answer, monkeypatch):
    monkeypatch.setattr(qemu, "_SILENT_SECONDS", silent_seconds)
    with listening(serve) as port:
        assert qemu.probe(port, "", soon()) == answer


def test_who_comes_up_before_the_deadline_is_waited_for():
    waits = [lambda connection: connection.close()] * 2 + [greet] * 9
    with listening(lambda connection: waits.pop(0)(connection)) as port:
        assert qemu.probe(port, "", time.monotonic() + HANG_SECONDS) == "SSH-2.0 here"


def test_where_nobody_listens_it_is_refused():
    with qemu.held_ports(1) as (port,):
        assert qemu.probe(port, "", soon()) == qemu.REFUSED


def test_ports_that_are_refused_are_named_and_silent_ports_are_not():
    assert qemu.unanswered({"answers": {80: qemu.REFUSED, 22: "SSH-2.0", 5432: qemu.SILENT}}) == [80]


@pytest.fixture
def looked(monkeypatch, tmp_path):
    """``looked(answer, **how)`` at a triplet that is up at once, and whose ports all answer so: what was said, and how long it stayed."""

    def look(answer, console="guest login: ", **how):
        said, stayed = [], []

        @contextmanager
        def booted(target, is_up, seconds, forwards, more, words):
            said.append(words)
            (tmp_path / "console").write_text(console, encoding="utf-8")
            yield qemu.Running("tcg", 1.0, tmp_path / "console", SimpleNamespace(wait=stayed.append))

        monkeypatch.setattr(qemu, "booted", booted)
        monkeypatch.setattr(qemu, "probe", lambda *_: answer)
        seen = qemu.look(Triplet(tmp_path, "web"), 10, [80], say=said.append, **how)
        assert said.pop(0) == "booting web: its login prompt has 10 s to appear"  # for a minute nothing else is said
        return (seen if console != "guest login: " else seen["answers"]), said, stayed

    return look


def test_the_console_is_shown_without_what_steers_a_terminal(looked):
    console = "\x1b[0;1;31m[FAILED]\x1b[0m Failed to start a.service\r\n\x1b[!p\x1b]104\x07\x1b[?7h\r\nDebian\r\nguest login: "
    seen, _, _ = looked("SSH-2.0", console=console)
    assert seen["console"] == ["[FAILED] Failed to start a.service", "Debian", "guest login:"] and seen["failed"] == ["a.service"]


def test_who_gave_a_key_is_shown_how_to_log_in_and_it_stays_up(looked):
    answers, (words, command, stays), stayed = looked("SSH-2.0", login=Login("ssh-ed25519 AAAA"), stay_seconds=600)
    assert answers.keys() == {80, 22} and "ssh-ed25519 AAAA" in words
    assert command.startswith("log in: ssh -p ") and "600 s" in stays and stayed == [600]


def test_where_no_sshd_answers_it_is_said_and_nothing_is_waited_for(looked):
    _, (_, line), stayed = looked(qemu.REFUSED, login=Login("ssh-ed25519 AAAA"), stay_seconds=600)
    assert line == "no sshd answers on port 22" and stayed == []


def test_without_a_key_it_stays_up_only_if_that_is_asked_for(looked):
    assert looked("HTTP/1.1 200")[1:] == ([""], [])
    assert looked("HTTP/1.1 200", stay_seconds=5)[2] == [5]
