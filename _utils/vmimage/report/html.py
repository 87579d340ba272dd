"""HTML and SVG out of plain values.  Every text is escaped unless it was made here: a log line or a comment is never markup."""

import re
from html import escape

#: what could move a cursor, turn the writing around, or is no character at all
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_COLOURS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_EMPTY = {"meta", "br", "rect", "line"}


class Markup(str):
    """Text that is markup already."""


def clean(text):
    """A text as it can be shown: without a terminal's colours, of a line that was overwritten the last state, nothing unprintable."""
    lines = _COLOURS.sub("", str(text)).replace("\r\n", "\n").split("\n")
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines))


def element(name, /, *content, **attributes):
    """``<name attributes>content</name>``: content is texts, numbers, markup, and lists of them; None and False are left out.

    An attribute's name may end with ``_`` (``class_``); other underscores stand for dashes.
    """
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(clean(value))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _EMPTY:
        return Markup(f"<{name}{told}>" if name in ("meta", "br") else f"<{name}{told}/>")
    return Markup(f"<{name}{told}>{joined(*content)}</{name}>")


def joined(*content):
    """Several pieces of content as one."""
    return Markup("".join(_piece(one) for one in content))


def _piece(one):
    if isinstance(one, Markup):
        return one
    if one is None or one is False:
        return ""
    if isinstance(one, (list, tuple)):
        return joined(*one)
    return escape(clean(one), quote=False)


def table(heads, rows, class_=None):
    """A table; a head that begins with ``#`` is of a column of figures."""
    sides = ["figure" if head.startswith("#") else None for head in heads]
    head = element("tr", [element("th", one.lstrip("#"), class_=side) for one, side in zip(heads, sides, strict=True)])
    body = [element("tr", [element("td", one, class_=side) for one, side in zip(row, sides, strict=True)]) for row in rows]
    return element("div", element("table", element("thead", head), element("tbody", body), class_=class_), class_="wide-table")


def folded(summary, *content, open_=False):
    """Content behind a line to click on."""
    return element("details", element("summary", summary), *content, open="" if open_ else None)
