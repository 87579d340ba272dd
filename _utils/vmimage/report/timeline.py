"""Where the time went: the steps of a build as bars, and in the step of the variation its states."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vmimage.report.html import Markup, element, folded, joined, table

#: ``(begin, seconds)``
Bar = tuple[float, float]

_SHOWN = 40  # states as bars; the others are in the table
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600, 10800, 43200)


def lay_out_steps(steps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The steps in time: one after the other, unless it is known when each began.

    :param steps: each with ``step`` and ``seconds``, and maybe ``started`` (seconds since whenever) and ``failed``
    :returns: ``{step, begin, seconds, bars: [(begin, seconds)], failed}``; parts of the same step that follow each other are a single entry
    """
    known, clock = all("started" in timing for timing in steps), 0.0
    rows: list[dict[str, Any]] = []
    first = min((timing["started"] for timing in steps), default=0) if known else 0
    for timing in sorted(steps, key=lambda timing: timing["started"]) if known else steps:
        begin = timing["started"] - first if known else clock
        clock = begin + timing["seconds"]
        if not rows or rows[-1]["step"] != timing["step"]:
            rows.append({"step": timing["step"], "begin": begin, "seconds": 0.0, "bars": [], "failed": False})
        rows[-1]["seconds"] += timing["seconds"]
        rows[-1]["bars"].append((begin, timing["seconds"]))
        rows[-1]["failed"] |= bool(timing.get("failed"))
    return rows


def total_seconds(rows: Sequence[Mapping[str, Any]]) -> float:
    """From the beginning of the first step to the end of the last."""
    return max((begin + seconds for row in rows for begin, seconds in row["bars"]), default=0.0)


def lay_out_states(states: Sequence[Mapping[str, Any]], begin: float, seconds: float) -> tuple[float, list[Bar]]:
    """When each state ran within the step: one after the other, up to its end; Salt's own start comes before.

    :returns: ``(seconds before the first, [(begin, seconds)])``
    """
    durations = [(state.get("duration_ms") or 0) / 1000 for state in states]
    total = sum(durations)
    shrink = min(1.0, seconds / total) if total else 1.0  # of states that ran in parallel
    before = max(0.0, seconds - total)
    clock, placed = begin + before, []
    for duration in durations:
        placed.append((clock, duration))
        clock += duration * shrink
    return before, placed


def timeline(steps: Sequence[Mapping[str, Any]], states: Sequence[Mapping[str, Any]]) -> Markup | None:
    """The section, or None where nothing is known."""
    rows = lay_out_steps(steps)
    if states and not any(row["step"] == "variation" for row in rows):  # it failed, and its time was not taken
        seconds, begin = sum((state.get("duration_ms") or 0) for state in states) / 1000, total_seconds(rows)
        failed = any(state.get("result") is False for state in states)
        rows.append({"step": "variation", "begin": begin, "seconds": seconds, "bars": [(begin, seconds)], "failed": failed})
    if not rows:
        return None
    last_variation = next((row for row in reversed(rows) if row["step"] == "variation"), None)
    total = total_seconds(rows)
    shown = []
    for row in rows:
        share = f"{row['seconds'] / total:.0%} of the time" if total else ""
        shown.append(
            _row("step", row["step"], row["seconds"], row["bars"], total, row["failed"], title=f"{row['step']}: {share}")
        )
        if row is last_variation:
            shown += _states(states, row, total)
    return element(
        "section",
        element("h2", "Time"),
        element("ol", _axis(total), shown, class_="timeline"),
        folded(f"All {len(states)} states", _states_table(states)) if states else None,
        id="time",
    )


def _states(states: Sequence[Mapping[str, Any]], row: Mapping[str, Any], total: float) -> Iterator[Markup]:
    begin, seconds = row["bars"][-1]
    before, placed = lay_out_states(states, begin, seconds)
    weights = [(state.get("result") is False, length) for state, (_, length) in zip(states, placed, strict=True)]
    chosen = set(sorted(range(len(states)), key=lambda place: weights[place], reverse=True)[:_SHOWN])
    if states and before > total / 200:
        yield _row("rest", "Salt starts, and between states", before, [(begin, before)], total)
    for place in sorted(chosen):
        state, failed = states[place], states[place].get("result") is False
        said = f"{state.get('state', '')} {state.get('name', '')} ({state.get('sls') or 'no sls'})\n{state.get('comment') or ''}"
        yield _row("state", state.get("id", ""), placed[place][1], [placed[place]], total, failed, state.get("state", ""), said)
    if len(states) > len(chosen):
        others = sum(length for place, (_, length) in enumerate(placed) if place not in chosen)
        yield _row("rest", f"{len(states) - len(chosen)} shorter states together", others, [], total)


def _row(
    kind: str, name: str, seconds: float, bars: Sequence[Bar], total: float, failed: bool = False, more: str = "", title: str = ""
) -> Markup:
    rectangles = [
        element("rect", x=_share(begin, total), y="15%", width=_share(max(length, total / 700), total), height="70%", rx="1.5")
        for begin, length in bars
    ]
    marks = [name, element("small", " ", more) if more else None]
    return element(
        "li",
        element("span", marks, class_="what", title=title or None),
        element("svg", element("title", title) if title else None, _lines(total), rectangles, class_="bar", aria_hidden="true"),
        element("span", element("b", "failed ", class_="bad") if failed else None, seconds_words(seconds), class_="figure"),
        class_=f"{kind} failed" if failed else kind,
    )


def _axis(total: float) -> Markup:
    words = [
        element("text", f"{tick:g} s", x=_share(tick, total), y="12", dx="3") for tick in _ticks(total) if tick < total * 0.95
    ]
    return element(
        "li",
        element("span", class_="what"),
        element("svg", _lines(total), words, class_="bar"),
        class_="axis",
        aria_hidden="true",
    )


def _lines(total: float) -> list[Markup]:
    return [element("line", x1=_share(tick, total), x2=_share(tick, total), y1="0", y2="100%") for tick in _ticks(total)]


def _ticks(total: float) -> list[float]:
    gap = next((tick for tick in _TICKS if total / tick <= 8), _TICKS[-1])
    return [gap * place for place in range(int(total / gap) + 1)] if total else []


def _share(part: float, total: float) -> str:
    return f"{min(100.0, 100 * part / total):.3f}%" if total else "0%"


def seconds_words(seconds: float) -> str:
    """Seconds for people."""
    if seconds >= 100:
        return f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"
    return f"{seconds:.1f} s" if seconds >= 0.95 else f"{seconds * 1000:.0f} ms"


def _states_table(states: Sequence[Mapping[str, Any]]) -> Markup:
    rows = [
        (
            place,
            joined(state.get("id", ""), element("small", element("br"), f"{state.get('state', '')} {state.get('name', '')}")),
            state.get("sls", ""),
            element("b", "failed", class_="bad")
            if state.get("result") is False
            else "changed"
            if state.get("changed")
            else "unchanged",
            seconds_words((state.get("duration_ms") or 0) / 1000),
            joined(state.get("comment", ""), [element("small", element("br"), said) for said in state.get("warnings", ())]),
        )
        for place, state in enumerate(states, 1)
    ]
    return table(["#", "State", "SLS", "Result", "#Time", "Comment"], rows)
