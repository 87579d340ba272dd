"""How build time grows, as a table and as a picture of two panels: a dot for each build, and the straight line through the medians."""

from racing import machine
from racing.svg import document, step_of, text

_WIDTH, _HEIGHT, _TOP, _BOTTOM = 900, 430, 104, 344
_LEFTS, _PANEL = (64, 504), 368  # left ends of the panels, and their width
_UNITS = {"files": ("MB of files, laid by one state", "MB"), "states": ("files with a state each", "states")}


def render(found):
    """Plain text: seconds and steps of each size, what is beside the steps, and below how straight it is."""
    lines = [found["job"], _machine(found)]
    for panel, measured in found["panels"].items():
        steps = list(measured["points"][0]["steps"])
        lines += ["", "".join(word.rjust(11) for word in (panel, "files", "seconds", *steps, "beside"))]
        for point in measured["points"]:
            seconds = [point["seconds"], *(point["steps"].get(step, 0) for step in steps)]
            words = (
                f"{point['amount']}",
                f"{point['files']}",
                *(f"{value:.1f}" for value in (*seconds, seconds[0] - sum(seconds[1:]))),
            )
            lines.append("".join(word.rjust(11) for word in words))
        lines += [f"  {_line(panel, measured)}"] if measured["line"] else []
    return "\n".join(lines)


def draw(found):
    """The picture, an SVG document."""
    parts = [text("title", 24, 32, "Build time against size of the variation: a clean build each")]
    parts += [text("small", 24, 50, "dots: each build; dashed: the straight line through the medians")]
    sentences = []
    for left, (panel, measured) in zip(_LEFTS, found["panels"].items(), strict=False):
        parts += _panel(left, panel, measured)
        sentences += [_line(panel, measured)] if measured["line"] else []
    words = _machine(found)
    parts += [text("small", 24, _HEIGHT - 18, words)]
    return document("The growth", f"{'; '.join(sentences)}. {words}", _WIDTH, _HEIGHT, parts)


def _panel(left, panel, measured):
    """Axes, dots and line of one panel."""
    most_x = max(point["amount"] for point in measured["points"])
    most_y = max(lap["seconds"] for point in measured["points"] for lap in point["laps"])
    wide, high = _PANEL / most_x, (_BOTTOM - _TOP) / most_y
    for mark in range(0, int(most_y) + 1, step_of(most_y)):
        y = _BOTTOM - mark * high
        yield f'<path class="grid" d="M{left},{y:.1f} H{left + _PANEL}"/>'
        yield text("tick", left - 20, y + 4, f"{mark} s")
    for mark in range(0, most_x + 1, step_of(most_x, 6)):
        yield text("tick", left + mark * wide, _BOTTOM + 18, f"{mark}")
    yield text("tick", left + _PANEL / 2, _BOTTOM + 36, _UNITS[panel][0])
    if measured["line"]:
        start, slope = measured["line"]["seconds"], measured["line"]["seconds_per_one"]
        ends = (_BOTTOM - start * high, _BOTTOM - (start + slope * most_x) * high)
        yield f'<path class="line" d="M{left},{ends[0]:.1f} L{left + _PANEL},{ends[1]:.1f}"/>'
        for number, words in enumerate(_line(panel, measured).split("; ")):
            yield text("small", left, _TOP - 22 + 14 * number, words)
    for point in measured["points"]:
        for lap in point["laps"]:
            yield f'<circle class="ours" cx="{left + point["amount"] * wide:.1f}" cy="{_BOTTOM - lap["seconds"] * high:.1f}" r="4"/>'


def _machine(found):
    return f"{machine.in_words(found['machine'])}, {found['rounds']} round{'s'[: found['rounds'] > 1]}"


def _line(panel, measured):
    """The line in words, and the point that is farthest from it."""
    line, farthest, unit = measured["line"], measured["largest_deviation"], _UNITS[panel][1]
    seconds = f"{line['seconds']:.1f} s + {line['seconds_per_one'] * 100:.2f} s per 100 {unit}"
    return f"{seconds}; farthest: {farthest['seconds']:+.1f} s at {farthest['at']} {unit} ({farthest['of_line']:+.0%})"
