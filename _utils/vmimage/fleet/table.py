"""The fleet as a table for a terminal: what runs, what waits and why, and how the last builds ended."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vmimage.errors import printable
from vmimage.report.timeline import seconds_words

#: states of an image that need no look
_QUIET = ("fine", "building")


def make_table(status: Mapping[str, Any], at: float) -> str:
    """The status, line by line.

    :param status: of ``vm_fleet.status``: plain data
    :param at: now, seconds since 1970
    """
    return "\n".join(_lines(status, at)) + "\n"


def count_states(status: Mapping[str, Any]) -> dict[str, int]:
    """How many images are in each state, those first that are most."""
    return dict(Counter(facts["state"] for facts in images_of(status).values()).most_common())


def images_of(status: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What is known of each image, by its name."""
    return dict(sorted(status["plan"].items()))


def step_words(build: Mapping[str, Any]) -> str:
    """Where a build is: its step and per cent, or how far the fleet has come with it."""
    percent = build.get("percent")
    step = build.get("step") or build.get("phase") or ""
    return f"{step} {percent} %" if percent is not None else str(step)


def age_words(seconds: float) -> str:
    """An age for people; what lies in the future is now: clocks differ."""
    seconds = max(0.0, seconds)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _lines(status: Mapping[str, Any], at: float) -> Iterator[str]:
    states = ", ".join(f"{count} {state}" for state, count in count_states(status).items())
    yield f"images: {states or 'none'}"
    if status.get("paused"):
        yield f"paused: {printable(', '.join(status['paused']))}"
    running = [
        (f"#{build['number']}", build["name"], build["builder"], step_words(build), seconds_words(build["seconds"]))
        for build in status["running"]
    ]
    yield from _part("running", running)
    waiting = [
        (name, facts["state"], facts.get("reason") or "")
        for name, facts in images_of(status).items()
        if facts["state"] not in _QUIET
    ]
    yield from _part("not as the repositories ask", waiting)
    last = [
        (
            f"#{result['number']}",
            result["name"],
            result["ending"],
            f"{age_words(at - result['at'])} ago",
            result.get("reason") or "",
        )
        for result in sorted(status["last"].values(), key=lambda result: -result["number"])
    ]
    yield from _part("last builds", last)
    yield from _part("problems", list(status["problems"].items()))


def _part(title: str, rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """A part with its rows in columns; of a text only its first line, as it does nothing to a terminal."""
    if not rows:
        return
    cells = [[printable(cell).strip().split("\n")[0] for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    yield f"\n{title}"
    for row in cells:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
