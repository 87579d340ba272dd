"""The command that hears of a failure, really run; a notification that fails is logged and stops nothing."""

import json
import logging
import sys

import pytest
from vmimage.fleet.notify import Notify, notify
from vmimage.fleet.records import Ending, Result
from waiting import HANG_SECONDS, wait_until


def build(number, ending, digest="d1", reason=""):
    return Result(number, "web-amd64", digest, "0" * 40, "b1", Ending(ending), reason, 3.0, 1.8e9)


def history(*endings):
    """Results, the newest first, all of the same input."""
    return [build(90 - at, ending) for at, ending in enumerate(endings)]


def send(wanted, result, earlier=(), returner=lambda name, job: None):
    return notify(wanted, "main", result, list(earlier), returner)


def program(tmp_path, text):
    """A command that is a Python program, without a shell."""
    path = tmp_path / "program.py"
    path.write_text(text, encoding="utf-8")
    return (sys.executable, str(path), "a word; touch x", "$HOME")


def test_a_command_gets_the_result_on_its_input_and_its_words_as_they_are(tmp_path):
    wanted = program(tmp_path, f"import sys; open({str(tmp_path / 'got')!r}, 'w').write(repr(sys.argv[1:]) + sys.stdin.read())")
    assert send(Notify(wanted), build(17, "failed", reason="no exim9")) == "failed"
    words, brace, rest = (tmp_path / "got").read_text(encoding="utf-8").partition("{")
    assert words == "['a word; touch x', '$HOME']"
    data = json.loads(brace + rest)
    assert (data["fleet"], data["change"], data["number"], data["reason"]) == ("main", "failed", 17, "no exim9")


def test_nothing_is_run_where_nothing_has_changed(tmp_path):
    wanted = program(tmp_path, f"open({str(tmp_path / 'got')!r}, 'w')")
    assert send(Notify(wanted), build(17, "failed"), history("failed")) == ""
    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize(
    ("text", "seconds", "said"),
    [
        ("import sys; sys.exit('the server says no')", HANG_SECONDS, "it ended with 1: the server says no"),
        ("import time; time.sleep(600)", 0.5, "it did not end in 0.5 s"),
        ("import os, time; os.fork() and os._exit(0); time.sleep(600)", 0.5, "it did not end in 0.5 s"),
    ],
    ids=["exit code", "hangs", "leaves a child that hangs"],
)
def test_a_command_that_fails_is_logged_and_stops_nothing(tmp_path, caplog, text, seconds, said):
    with caplog.at_level(logging.ERROR):
        assert send(Notify(program(tmp_path, text), seconds=seconds), build(17, "failed")) == "failed"
    assert f"the command was not notified of build 17 of web-amd64: {said}" in caplog.text


def test_a_command_that_is_not_there_or_does_not_read_stops_nothing(tmp_path, caplog):
    assert send(Notify(("/nowhere/to/be/found",)), build(17, "failed")) == "failed"
    assert "not notified" in caplog.text
    caplog.clear()
    wanted = program(tmp_path, "import os; os.close(0)")
    assert send(Notify(wanted), build(17, "failed", reason="x" * 1_000_000)) == "failed"
    assert caplog.text == ""


def test_nothing_of_a_command_is_left(tmp_path):
    text = f"import os, time\nif not os.fork():\n open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    seconds, noted = 1.0, tmp_path / "pid"
    while not noted.exists() or not noted.read_text(encoding="utf-8"):  # on a busy machine it has not even begun
        send(Notify(program(tmp_path, text), seconds=seconds), build(17, "failed"))
        seconds *= 3
        assert seconds < HANG_SECONDS
    pid = int(noted.read_text(encoding="utf-8"))
    wait_until(lambda: not is_alive(pid))  # what is killed dies when it is next on a core


def is_alive(pid):
    """Whether a process runs; one that is dead and not yet reaped by its new parent does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_returner_that_raises_is_logged_and_the_command_is_run_all_the_same(tmp_path, caplog):
    def broken(name, job):
        raise KeyError("slack.returner")

    wanted = Notify(program(tmp_path, f"open({str(tmp_path / 'got')!r}, 'w')"), "slack")
    assert send(wanted, build(17, "failed"), returner=broken) == "failed"
    assert "the returner slack was not notified" in caplog.text and (tmp_path / "got").exists()
