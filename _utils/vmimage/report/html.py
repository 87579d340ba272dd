"""HTML and SVG out of plain values.  Every text is escaped unless it was made here: a log line or a comment is never markup."""

import re
from collections.abc import Iterable, Sequence
from html import escape

#: what could move a cursor, turn the writing around, or is no character at all
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_COLOURS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_EMPTY = {"meta", "br", "rect", "line"}


#: texts, numbers, markup, and lists of them; None and False are left out
Content = object


class Markup(str):
    """Text that is markup already."""


def clean(text: object) -> str:
    """A text as it can be shown: without a terminal's colours, of a line that was overwritten only its last state, nothing unprintable."""
    lines = _COLOURS.sub("", str(text)).replace("\r\n", "\n").split("\n")
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines))


def element(name: str, /, *content: Content, **attributes: object) -> Markup:
    """``<name attributes>content</name>``: content is texts, numbers, markup, and lists of them; None and False are left out.

    An attribute's name may end with ``_`` (``class_``); other underscores stand for dashes.
    """
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(clean(value))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _EMPTY:
        return Markup(f"<{name}{words}>" if name in ("meta", "br") else f"<{name}{words}/>")
    return Markup(f"<{name}{words}>{joined(*content)}</{name}>")


def joined(*content: Content) -> Markup:
    """Several pieces of content together."""
    return Markup("".join(map(_piece, content)))


def _piece(content: Content) -> str:
    if isinstance(content, Markup):
        return content
    if content is None or content is False:
        return ""
    if isinstance(content, (list, tuple)):
        return joined(*content)
    return escape(clean(content), quote=False)


def table(heads: Sequence[str], rows: Iterable[Sequence[Content]], class_: str | None = None) -> Markup:
    """A table; a head that begins with ``#`` is of a column of figures."""
    sides = ["figure" if head.startswith("#") else None for head in heads]
    top = element("tr", [element("th", head.lstrip("#"), class_=side) for head, side in zip(heads, sides, strict=True)])
    body = [element("tr", [element("td", cell, class_=side) for cell, side in zip(row, sides, strict=True)]) for row in rows]
    return element("div", element("table", element("thead", top), element("tbody", body), class_=class_), class_="wide-table")


def folded(summary: str, *content: Content, open_: bool = False) -> Markup:
    """Content behind a line to click on."""
    return element("details", element("summary", summary), *content, open="" if open_ else None)
