"""What was found, as a picture: a bar for the median of the warm runs, a dot for each of them, figures beside it."""

from racing.svg import document, step_of, text
from racing.table import describe_machine, ratio, reference_of, seconds_each

_LEFT, _ROW, _TOP, _WIDTH = 248, 38, 68, 900
_FIGURES = (726, 794, 872)  # right ends of: warm, times the reference, cold


def draw(found):
    """The picture, an SVG document."""
    contests = found["contests"]
    if not contests:
        return document("The race", "no contest has a result", _WIDTH, _TOP, [])
    reference = reference_of(contests)
    most = max(seconds_each(contest, lap) for contest in contests.values() for lap in contest["warm"])
    step = step_of(most)
    scale = (_FIGURES[0] - 76 - _LEFT) / most
    bottom = _TOP + _ROW * len(contests)
    height = bottom + 62
    parts = [text("title", 24, 32, "One job, raced: seconds to kernel, ramdisk and root image on the disk")]
    parts += [text("small", 24, 50, "bar: the median of the warm runs; dots: each of them; cold: one run with empty caches")]
    parts += [text("figure", x, _TOP - 2, word) for x, word in zip(_FIGURES, ("warm", "x ours", "cold"), strict=True)]
    for mark in range(0, int(most) + 1, step):
        x = _LEFT + mark * scale
        parts += [f'<path class="grid" d="M{x:.1f},{_TOP} V{bottom}"/>', text("tick", x, bottom + 16, str(mark))]
    for number, contest in enumerate(contests.values()):
        parts += _bar(contest, reference, _TOP + number * _ROW, scale)
    machine = describe_machine(found)
    parts += [text("small", 24, height - 18, machine)]
    description = "; ".join(f"{contest['title']} {seconds_each(contest):.1f} s" for contest in contests.values())
    return document("The race", f"{description}. {machine}", _WIDTH, height, parts)


def _bar(contest, reference, y, scale):
    """One contest: its name, bar, runs and figures."""
    median, middle = seconds_each(contest), y + _ROW / 2
    yield text("name", _LEFT - 12, middle + 5, contest["title"])
    yield f'<rect class="{contest["kind"]}" x="{_LEFT}" y="{y + 8}" width="{median * scale:.1f}" height="{_ROW - 16}" rx="3"/>'
    for lap in contest["warm"]:
        yield f'<circle class="run" cx="{_LEFT + seconds_each(contest, lap) * scale:.1f}" cy="{middle}" r="2.6"/>'
    yield text("value", _FIGURES[0], middle + 5, f"{median:.1f} s")
    yield text("figure", _FIGURES[1], middle + 5, f"{ratio(contest, reference):.2f}")
    yield text("figure", _FIGURES[2], middle + 5, f"{seconds_each(contest, contest['cold']):.1f} s" if contest["cold"] else "-")
