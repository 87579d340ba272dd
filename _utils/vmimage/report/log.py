"""What went wrong, and what the programs of a build said."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from vmimage.report.html import Markup, clean, element, folded, joined

#: a line, and whether it speaks of a failure
Line = tuple[str, bool]

_BAD = re.compile(
    r"(?i)(?<![\w./-])(?:error|errors|failed|failure|fatal|critical|traceback|cannot|unable to|no space left|killed|denied"
    r"|segmentation fault|command not found|no such file)(?![\w./-])"
)
_ALSO_BAD = re.compile(r"^(?:E:|Err:\d|dpkg: error)")
_FINE = re.compile(r"(?i)\b(?:0|no) (?:errors?|failed|failures?)\b")
_FIRST = 40  # failing lines that are shown again above the log
_LAST = 25
_REQUISITE = "requisite failed"


def mark_lines(text: str | None) -> list[Line]:
    """The lines of a log."""
    lines = clean(text).rstrip("\n").split("\n") if text else []
    return [(line, bool((_BAD.search(line) and not _FINE.search(line)) or _ALSO_BAD.match(line))) for line in lines]


def failures(found: Mapping[str, Any], lines: Sequence[Line]) -> Markup | None:
    """The section on top of a build that made no triplet, or of which a state has warnings; None where all is well.

    :param found: of :func:`vmimage.build.kept.read_build`
    :param lines: of :func:`mark_lines`
    """
    manifest, outcome = found["manifest"], found["outcome"]
    failed = manifest.get("failures") or [state for state in manifest.get("states") or () if state.get("result") is False]
    if outcome == "done" and not failed:
        return None
    roots = [state for state in failed if _REQUISITE not in (state.get("comment") or "")] or failed
    followed = [state for state in failed if state not in roots]
    if outcome == "unfinished":
        title, said = "This build did not end", "It is under way, or was killed; the steps below are done."
    else:
        title, said = "This build failed", manifest.get("failed", "")
    return element(
        "section",
        element("h2", title),
        element("pre", said, class_="said") if said and not (roots and outcome == "failed") else None,
        [_failed_state(state) for state in roots],
        element("p", f"And {len(followed)} that required them: ", ", ".join(str(state.get("id")) for state in followed))
        if followed
        else None,
        folded("The whole error", element("pre", said, class_="said")) if roots and outcome == "failed" else None,
        joined(element("h3", "The end of the log"), _lines(lines[-_LAST:])) if lines else None,
        id="failures",
        class_="failures",
    )


def _failed_state(state: Mapping[str, Any]) -> Markup:
    return element(
        "article",
        element("h3", state.get("id", ""), " ", element("small", f"{state.get('state', '')} in {state.get('sls') or 'no sls'}")),
        element("p", element("small", f"name: {state['name']}"))
        if state.get("name") not in (None, "", state.get("id"))
        else None,
        element("pre", state.get("comment") or "no comment", class_="said"),
        [joined(element("small", key), element("pre", state[key])) for key in ("stdout", "stderr") if state.get(key)],
    )


def log(lines: Sequence[Line]) -> Markup | None:
    """The section, or None where no log was kept."""
    if not lines:
        return None
    bad = [(place, line) for place, (line, is_bad) in enumerate(lines) if is_bad]
    entries = [
        element("li", element("a", f"line {place + 1}", href=f"#L{place + 1}"), " ", element("code", line)) for place, line in bad
    ]
    more = f", the first {_FIRST} of them here" if len(bad) > _FIRST else ""
    return element(
        "section",
        element("h2", "Log"),
        joined(
            element("p", f"{_lines_words(len(bad))} of {len(lines)} may tell of a failure{more}:"),
            element("ul", entries[:_FIRST]),
        )
        if bad
        else element("p", f"None of {len(lines)} lines tells of a failure."),
        folded("The whole log", _lines(lines, named=True), open_=bool(bad)),
        id="log",
    )


def _lines_words(count: int) -> str:
    return "1 line" if count == 1 else f"{count} lines"


def _lines(lines: Sequence[Line], named: bool = False) -> Markup:
    shown = [
        joined(element("mark", line, id=f"L{place}" if named else None) if is_bad else line, "\n")
        for place, (line, is_bad) in enumerate(lines, 1)
    ]
    return element("pre", shown, class_="log" if named else "log end", tabindex="0" if named else None)
