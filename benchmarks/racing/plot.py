"""What was found, as a picture: a bar for the median of the warm runs, a dot for each of them, figures beside it."""

from html import escape

from racing.table import describe_machine, ratio, reference_of

_LEFT, _ROW, _TOP, _WIDTH = 248, 38, 68, 900
_FIGURES = (726, 794, 872)  # right ends of: warm, times the reference, cold
_STYLE = """
    text      { font-family: "Helvetica Neue", Helvetica, Arial, "DejaVu Sans", sans-serif; fill: #1f2933 }
    .card     { fill: #fbfcfd; stroke: #cbd2d9 }
    .title    { font-size: 16px; font-weight: bold }
    .small    { font-size: 11.5px; fill: #52606d }
    .name     { font-size: 13px; text-anchor: end }
    .value    { font-size: 13px; font-weight: bold; text-anchor: end }
    .figure   { font-size: 13px; fill: #52606d; text-anchor: end }
    .grid     { stroke: #dfe4e9 }
    .tick     { font-size: 11px; fill: #7b8794; text-anchor: middle }
    .ours     { fill: #3d7fb8 }
    .peer     { fill: #b8c2cc }
    .floor    { fill: #dfe4e9 }
    .run      { fill: #1f2933; fill-opacity: 0.55 }
    @media (prefers-color-scheme: dark) {
      text  { fill: #e4e7eb } .card { fill: #1b2430; stroke: #3e4c59 } .small { fill: #9aa5b1 } .tick, .figure { fill: #9aa5b1 }
      .grid { stroke: #323f4b } .ours { fill: #5aa0dc } .peer { fill: #616e7c } .floor { fill: #3e4c59 } .run { fill: #f5f7fa }
    }
"""


def draw(found):
    """The picture, an SVG document."""
    contests = found["contests"]
    reference = reference_of(contests)
    most = max(lap["seconds"] for one in contests.values() for lap in one["warm"])
    step = _step(most)
    scale = (_FIGURES[0] - 76 - _LEFT) / most
    bottom = _TOP + _ROW * len(contests)
    height = bottom + 62
    parts = [f'<rect class="card" x="1" y="1" width="{_WIDTH - 2}" height="{height - 2}" rx="14"/>']
    parts += [_text("title", 24, 32, "One job, raced: seconds to kernel, ramdisk and root image on the disk")]
    parts += [_text("small", 24, 50, "bar: the median of the warm runs; dots: each of them; cold: one run with empty caches")]
    parts += [_text("figure", x, _TOP - 2, word) for x, word in zip(_FIGURES, ("warm", "x ours", "cold"), strict=True)]
    for mark in range(0, int(most) + 1, step):
        x = _LEFT + mark * scale
        parts += [f'<path class="grid" d="M{x:.1f},{_TOP} V{bottom}"/>', _text("tick", x, bottom + 16, str(mark))]
    for number, (name, one) in enumerate(contests.items()):
        parts += _bar(name, one, reference, _TOP + number * _ROW, scale)
    machine = describe_machine(found)
    parts += [_text("small", 24, height - 18, machine)]
    told = "; ".join(f"{one['title']} {one['median']['seconds']:.1f} s" for one in contests.values())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" role="img" '
        f'aria-labelledby="title desc">\n  <title id="title">The race</title>\n'
        f'  <desc id="desc">{escape(told)}. {escape(machine)}</desc>\n'
        f"  <style>{_STYLE}  </style>\n  " + "\n  ".join(parts) + "\n</svg>\n"
    )


def _bar(name, one, reference, y, scale):
    """One contest: its name, bar, runs and figures."""
    kind = "ours" if name.startswith("ours") else "floor" if name in ("floor", "ping") else "peer"
    median, middle = one["median"]["seconds"], y + _ROW / 2
    yield _text("name", _LEFT - 12, middle + 5, one["title"])
    yield f'<rect class="{kind}" x="{_LEFT}" y="{y + 8}" width="{median * scale:.1f}" height="{_ROW - 16}" rx="3"/>'
    for lap in one["warm"]:
        yield f'<circle class="run" cx="{_LEFT + lap["seconds"] * scale:.1f}" cy="{middle}" r="2.6"/>'
    yield _text("value", _FIGURES[0], middle + 5, f"{median:.1f} s")
    yield _text("figure", _FIGURES[1], middle + 5, f"{ratio(one, reference):.2f}")
    yield _text("figure", _FIGURES[2], middle + 5, f"{one['cold']['seconds']:.1f} s" if one["cold"] else "-")


def _step(most):
    """Seconds between grid lines: about eight of them."""
    return next((step for step in (1, 2, 5, 10, 20, 50, 100, 200) if most / step <= 9), 500)


def _text(kind, x, y, text):
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(text)}</text>'
