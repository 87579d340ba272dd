"""What the pictures have in common: their look, a text, grid lines, the document."""

from html import escape

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
    .line     { fill: none; stroke: #7b8794; stroke-dasharray: 5 4 }
    .run      { fill: #1f2933; fill-opacity: 0.55 }
    @media (prefers-color-scheme: dark) {
      text  { fill: #e4e7eb } .card { fill: #1b2430; stroke: #3e4c59 } .small { fill: #9aa5b1 } .tick, .figure { fill: #9aa5b1 }
      .grid { stroke: #323f4b } .ours { fill: #5aa0dc } .peer { fill: #616e7c } .floor { fill: #3e4c59 } .run { fill: #f5f7fa } .line { stroke: #9aa5b1 }
    }
"""


def document(title, description, width, height, parts):
    """The whole picture, on a card; `description` is for who cannot see it."""
    card = f'<rect class="card" x="1" y="1" width="{width - 2}" height="{height - 2}" rx="14"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-labelledby="title desc">\n  <title id="title">{escape(title)}</title>\n'
        f'  <desc id="desc">{escape(description)}</desc>\n'
        f"  <style>{_STYLE}  </style>\n  " + "\n  ".join([card, *parts]) + "\n</svg>\n"
    )


def text(kind, x, y, words):
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(words)}</text>'


def step_of(most, marks=9):
    """A round distance between grid lines, so that there are no more than so many."""
    return next(step * 10**power for power in range(9) for step in (1, 2, 5) if most / (step * 10**power) <= marks)
