"""What went wrong, and what the programs of a build said."""

import re

from vmimage.report.html import clean, element, folded, joined

_BAD = re.compile(
    r"(?i)(?<![\w./-])(?:error|errors|failed|failure|fatal|critical|traceback|cannot|unable to|no space left|killed|denied"
    r"|segmentation fault|command not found|no such file)(?![\w./-])"
)
_ALSO_BAD = re.compile(r"^(?:E:|Err:\d|dpkg: error)")
_FINE = re.compile(r"(?i)\b(?:0|no) (?:errors?|failed|failures?)\b")
_FIRST = 40  # failing lines that are told again above the log
_LAST = 25
_REQUISITE = "requisite failed"


def mark_lines(text):
    """The lines of a log.

    :returns: list of ``(line, whether it tells of a failure)``
    """
    lines = clean(text).rstrip("\n").split("\n") if text else []
    return [(line, bool((_BAD.search(line) and not _FINE.search(line)) or _ALSO_BAD.match(line))) for line in lines]


def failures(found, lines):
    """The section on top of a build that made no triplet, or of which a state has warnings; None where all is well.

    :param dict found: of :func:`vmimage.build.kept.read_build`
    :param list lines: of :func:`mark_lines`
    """
    manifest, outcome = found["manifest"], found["outcome"]
    failed = manifest.get("failures") or [one for one in manifest.get("states") or () if one.get("result") is False]
    if outcome == "done" and not failed:
        return None
    roots = [one for one in failed if _REQUISITE not in (one.get("comment") or "")] or failed
    followed = [one for one in failed if one not in roots]
    if outcome == "unfinished":
        title, said = "This build did not end", "It is under way, or was killed; the steps below are done."
    else:
        title, said = "This build failed", manifest.get("failed", "")
    return element(
        "section",
        element("h2", title),
        element("pre", said, class_="said") if said and not (roots and outcome == "failed") else None,
        [_failed_state(one) for one in roots],
        element("p", f"And {len(followed)} that required them: ", ", ".join(str(one.get("id")) for one in followed))
        if followed
        else None,
        folded("The error as it was told", element("pre", said, class_="said")) if roots and outcome == "failed" else None,
        joined(element("h3", "The end of the log"), _lines(lines[-_LAST:])) if lines else None,
        id="failures",
        class_="failures",
    )


def _failed_state(one):
    return element(
        "article",
        element("h3", one.get("id", ""), " ", element("small", f"{one.get('state', '')} in {one.get('sls') or 'no sls'}")),
        element("p", element("small", f"name: {one['name']}")) if one.get("name") not in (None, "", one.get("id")) else None,
        element("pre", one.get("comment") or "no comment", class_="said"),
        [joined(element("small", key), element("pre", one[key])) for key in ("stdout", "stderr") if one.get(key)],
    )


def log(lines):
    """The section, or None where no log was kept."""
    if not lines:
        return None
    bad = [(place, line) for place, (line, is_bad) in enumerate(lines) if is_bad]
    told = [
        element("li", element("a", f"line {place + 1}", href=f"#L{place + 1}"), " ", element("code", line)) for place, line in bad
    ]
    more = f", the first {_FIRST} of them here" if len(bad) > _FIRST else ""
    return element(
        "section",
        element("h2", "Log"),
        joined(
            element("p", f"{_lines_words(len(bad))} of {len(lines)} may tell of a failure{more}:"), element("ul", told[:_FIRST])
        )
        if bad
        else element("p", f"None of {len(lines)} lines tells of a failure."),
        folded("The whole log", _lines(lines, named=True), open_=bool(bad)),
        id="log",
    )


def _lines_words(count):
    return "1 line" if count == 1 else f"{count} lines"


def _lines(lines, named=False):
    shown = [
        joined(element("mark", line, id=f"L{place}" if named else None) if is_bad else line, "\n")
        for place, (line, is_bad) in enumerate(lines, 1)
    ]
    return element("pre", shown, class_="log" if named else "log end", tabindex="0" if named else None)
