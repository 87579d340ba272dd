import io
from types import SimpleNamespace

import pytest
from vmimage.system import progress as progress_module
from vmimage.system.progress import Log, Moment, Progress, Terminal, event_observer, format_bytes
from vmimage.variation.in_root.state_diff import NeedsCleanBuild


@pytest.fixture
def moments():
    return []


def test_a_step_is_reported_from_start_to_end(moments):
    progress = Progress(moments.append)
    with progress.step("base"):
        progress.say("hello")
    assert [(moment.step, moment.what, moment.text) for moment in moments] == [
        ("base", "started", ""),
        ("base", "said", "hello"),
        ("base", "done", ""),
    ]
    assert 0 <= moments[0].seconds <= moments[-1].seconds


def test_a_step_that_fails_is_reported_with_the_first_line(moments):
    progress = Progress(moments.append)
    with pytest.raises(ValueError), progress.step("seal"):
        raise ValueError("no room\n  -> free some")
    assert (moments[-1].what, moments[-1].text) == ("failed", "no room")


def test_a_step_that_is_left_to_begin_again_is_no_failure(moments):
    stream = io.StringIO()
    progress = Progress(moments.append, Terminal(stream))
    with pytest.raises(NeedsCleanBuild), progress.step("variation"):
        raise NeedsCleanBuild("a state is removed")
    assert (moments[-1].what, moments[-1].text) == ("left", "a state is removed")
    assert "!!" not in stream.getvalue() and "removed" not in stream.getvalue()  # the reason follows in a line of its own


def test_a_step_within_a_step_is_its_own_and_the_outer_goes_on(moments):
    progress = Progress(moments.append)
    with progress.step("base"):
        with progress.step("fetch"):
            progress.say("inner")
        progress.say("outer")
    assert [(moment.step, moment.text) for moment in moments if moment.what == "said"] == [("fetch", "inner"), ("base", "outer")]


def test_bytes_are_reported_seldom_and_the_last_always(moments):
    progress = Progress(moments.append)
    with progress.step("base"):
        for done in range(1, 10_001):
            progress.moved(done, 10_000)
    moved = [moment for moment in moments if moment.what == "moved"]
    assert len(moved) < 100 and (moved[-1].done, moved[-1].total) == (10_000, 10_000)


def test_every_observer_is_informed(moments):
    others = []
    with Progress(moments.append, others.append).step("x"):
        pass
    assert moments == others and len(moments) == 2


def shown(*moments):
    stream = io.StringIO()
    watch = Terminal(stream)
    for moment in moments:
        watch(moment)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (Moment("base", "moved", done=3 << 20, total=12 << 20, seconds=3.0), "3.0 MiB of 12.0 MiB, 1.0 MiB/s, 9 s left"),
        (Moment("base", "moved", done=3 << 20, seconds=3.0), "3.0 MiB, 1.0 MiB/s"),
        (Moment("base", "moved", done=512, total=1024, seconds=0.1), "512 B of 1.0 KiB"),
        (Moment("update", "said", text="Get:1 http://..."), "Get:1 http://..."),
    ],
    ids=["with a total", "without", "too early for a rate", "a line"],
)
def test_a_live_line_shows_how_far_it_is(moment, text):
    assert shown(moment).startswith("\r\x1b[K.. ") and shown(moment).endswith(f"s  {text}")


@pytest.mark.parametrize(("what", "mark"), [("done", "ok "), ("failed", "!! ")])
def test_a_line_stays_for_a_step_that_ended(what, mark):
    text = shown(Moment("seal", what, text="why", seconds=2.0))
    assert text.startswith(f"\r\x1b[K{mark}seal") and "2.0 s" in text and text.endswith("\n")


def test_a_step_in_parts_has_a_line_for_its_first_part_and_for_each_that_takes_time(monkeypatch):
    clock, stream = SimpleNamespace(seconds=0.0), io.StringIO()
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: clock.seconds))
    progress = Progress(Terminal(stream), Log())
    for seconds, goes_on in ((0.1, False), (0.2, True), (3.0, True)):
        with progress.step("seal", goes_on=goes_on):
            clock.seconds += seconds
    lines = [line.rpartition("ok ")[2].split()[:2] for line in stream.getvalue().split("\n")[:-1]]
    assert lines == [["seal", "0.1"], ["seal", "3.0"]]


def test_a_live_line_is_not_longer_than_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert len(shown(Moment("update", "said", text="x" * 500))) == len("\r\x1b[K") + 39


def test_events_carry_their_place_in_the_tag(moments):
    watch = event_observer(lambda tag, data: moments.append((tag, data)), "web")
    watch(Moment("root image", "moved", done=1, total=2, seconds=0.12345))
    assert moments == [("vm_create/web/root_image/moved", {"text": "", "done": 1, "total": 2, "seconds": 0.123})]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (1 << 30, "1.0 GiB"), (5 << 50, "5120.0 TiB")],
)
def test_bytes_are_written_for_people(count, text):
    assert format_bytes(count) == text
