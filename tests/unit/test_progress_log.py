"""What is written to the log of a minion: each thing once, and of long work a sign of life."""

import io
import logging
from types import SimpleNamespace

import pytest
from vmimage.system import progress
from vmimage.system.progress import Log, Moment, Progress, Terminal, event_observer


class Clock:
    """A clock that stands still until a test sets it."""

    seconds = 1000.0

    def monotonic(self):
        return self.seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


@pytest.fixture
def lines(caplog):
    """What the log has got so far, ``(level, text)``."""
    caplog.set_level(logging.DEBUG, "vm_create")
    return lambda: [(record.levelname, record.getMessage()) for record in caplog.records]


def moved(done=1, total=0, seconds=0.0):
    return Moment("upload", "moved", done=done, total=total, seconds=seconds)


def test_of_long_work_a_line_is_logged_every_quarter_of_a_minute(clock, lines):
    watch, times = Log(), []
    for tenth in range(601):
        clock.seconds = 1000 + tenth / 10
        watch(moved())
        if len(lines()) > len(times):
            times.append(tenth / 10)
    assert times == [pytest.approx(seconds, abs=0.2) for seconds in (15.1, 30.2, 45.3)]


def test_short_work_moves_without_a_line(clock, lines):
    watch = Log()
    clock.seconds += 15
    watch(moved(5, 5))
    assert lines() == []


def test_a_line_of_moved_bytes_says_how_far_it_is_and_how_long_it_takes(clock, lines):
    watch = Log()
    clock.seconds += 16
    watch(moved(3 << 20, 12 << 20, 3.0))
    assert lines() == [("INFO", "upload: 3.0 MiB of 12.0 MiB, 1.0 MiB/s, 9 s left")]


@pytest.mark.parametrize(
    ("what", "level", "text"),
    [
        ("failed", "ERROR", "upload failed after 2.0 s"),
        ("done", "INFO", "upload done in 2.0 s"),
        ("noted", "INFO", "why"),
        ("said", "DEBUG", "upload: why"),
    ],
)
def test_what_is_worth_a_line_is_logged_at_once(clock, lines, what, level, text):
    Log()(Moment("upload", what, text="why", seconds=2.0))
    assert lines() == [(level, text)]


def test_of_several_builds_a_line_says_why_a_step_failed(lines):
    Log("web")(Moment("upload", "failed", text="why", seconds=2.0))
    assert lines() == [("ERROR", "web: upload failed after 2.0 s: why")]


def test_a_further_part_of_a_step_is_no_line(lines):
    Log()(Moment("seal", "part", seconds=0.1))
    assert lines() == []


@pytest.mark.parametrize("what", ["failed", "done", "noted"])
def test_after_any_line_the_quarter_of_a_minute_begins_again(clock, lines, what):
    watch = Log()
    clock.seconds += 10
    watch(Moment("upload", what))
    clock.seconds += 10
    watch(moved())
    assert len(lines()) == 1


def test_a_step_that_is_left_is_no_line(clock, lines):
    Log()(Moment("variation", "left", text="a state is removed"))
    assert lines() == []


def test_a_step_that_begins_is_no_line_and_no_sign_of_life(clock, lines):
    watch = Log()
    clock.seconds += 10
    watch(Moment("upload", "started"))
    clock.seconds += 10
    watch(moved())
    assert [text.split(":")[0] for _, text in lines()] == ["upload"]


# a note: a line that no observer should miss


def test_a_note_reaches_every_observer_with_its_step():
    moments = []
    with Progress(moments.append).step("upload kernel") as under_way:
        under_way.note("lost line; try 2 of 7 in 1 s")
    assert [(moment.step, moment.text) for moment in moments if moment.what == "noted"] == [
        ("upload kernel", "lost line; try 2 of 7 in 1 s")
    ]


def test_a_note_stays_on_the_terminal():
    stream = io.StringIO()
    Terminal(stream)(Moment("upload", "noted", text="removing it"))
    assert stream.getvalue().startswith("\r\x1b[K   upload") and stream.getvalue().endswith("removing it\n")


def test_a_note_is_whole_however_narrow_the_terminal_is(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    stream = io.StringIO()
    Terminal(stream)(Moment("seal", "noted", text="/etc/machine-id is sealed, and no image may have it"))
    Terminal(stream)(Moment("update", "said", text="a line that soon is another"))
    assert "and no image may have it\n" in stream.getvalue() and "another" not in stream.getvalue()


def test_a_note_is_an_event_and_what_programs_say_is_none():
    events = []
    watch = event_observer(lambda tag, data: events.append((tag, data["text"])), "web")
    watch(Moment("upload kernel", "said", text="x"))
    watch(Moment("upload kernel", "noted", text="removing it"))
    assert events == [("vm_create/web/upload_kernel/noted", "removing it")]
