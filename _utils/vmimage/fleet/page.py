"""The fleet as a single HTML page that loads nothing, with links to what is known of each build."""

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vmimage.errors import SettingsWrong
from vmimage.fleet.table import age_words, count_states, images_of, step_words
from vmimage.report.document import make_document, write_page
from vmimage.report.html import Content, Markup, element, joined, table
from vmimage.report.timeline import seconds_words

#: classes of the style sheet
_LOOKS = {
    **dict.fromkeys(("fine", "published", "unchanged"), "done"),
    **dict.fromkeys(("failed", "parked"), "failed"),
}
_REVISION_DIGITS = 12
#: of a build, in the address of its report
_IN_ADDRESS = ("builder", "name", "variation", "number")


def make_page(
    name: str, status: Mapping[str, Any], history: Sequence[Mapping[str, Any]], at: float, links: Mapping[int, Mapping[str, str]]
) -> str:
    """The page.

    :param name: of the fleet
    :param status: of ``vm_fleet.status``: plain data
    :param history: of ``vm_fleet.history``, the newest first
    :param at: now, seconds since 1970
    :param links: of builds, by their numbers: ``{word: address}``, such as report and log
    """
    title = f"Fleet {name}"
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))
    sections = [_problems(status), _images(status), _running(status, at), _history(history, at, links)]
    return make_document(title, _headline(title, status, when), sections)


def report_links(history: Sequence[Mapping[str, Any]], template: str) -> dict[int, dict[str, str]]:
    """Where the report of each build is, by its number.

    :param template: an address with ``{builder}``, ``{name}``, ``{variation}`` and ``{number}`` in it; empty: there is none
    :raises SettingsWrong: if it is no address that a page may lead to, or has another word in braces
    """
    if not template:
        return {}
    unknown = [word for word in re.findall(r"\{(\w+)\}", template) if word not in _IN_ADDRESS]
    if unknown:
        raise SettingsWrong(f"report has {{{unknown[0]}}}", hint=f"it takes {', '.join(f'{{{word}}}' for word in _IN_ADDRESS)}")
    if re.match(r"(?!https?://)[^/]*:", template):
        raise SettingsWrong("report is no address of a page", hint="http://{builder}/images/{variation}.report.html")
    return {result["number"]: {"report": _filled_in(template, result)} for result in history}


def _filled_in(template: str, result: Mapping[str, Any]) -> str:
    facts = {**result, "variation": result["facts"].get("variation", "")}
    return re.sub(r"\{(\w+)\}", lambda mark: quote(str(facts[mark[1]]), safe=""), template)


def write_shown(path: str, text: str) -> str:
    """Replace a file that others may read, such as a web server; returns its path."""
    target = Path(path)
    write_page(target, text)
    target.chmod(0o644)
    return str(target)


def _headline(title: str, status: Mapping[str, Any], when: str) -> Markup:
    states = count_states(status)
    figures = [(count, state) for state, count in states.items()]
    paused = status.get("paused")
    word = " ", element("span", "paused", class_="outcome unfinished")
    return element(
        "header",
        element("h1", title, word if paused else None),
        element("p", element("time", when)),
        element("ul", [element("li", element("b", value), " ", word) for value, word in figures], class_="figures"),
    )


def _problems(status: Mapping[str, Any]) -> Markup | None:
    problems = status["problems"]
    if not problems:
        return None
    rows = [(element("code", key), text) for key, text in problems.items()]
    return element("section", element("h2", "Problems"), table(["Where", "What"], rows), id="problems", class_="failures")


def _images(status: Mapping[str, Any]) -> Markup:
    rows = [
        (image, _mark(facts["state"]), facts.get("reason") or "", facts.get("repository") or "", _revision(facts.get("revision")))
        for image, facts in images_of(status).items()
    ]
    return element(
        "section", element("h2", "Images"), table(["Image", "State", "Why", "Repository", "Revision"], rows), id="images"
    )


def _running(status: Mapping[str, Any], at: float) -> Markup | None:
    rows = [
        (build["number"], build["name"], build["builder"], step_words(build), seconds_words(build["seconds"]))
        for build in status["running"]
    ]
    heads = ["#Build", "Image", "Builder", "Step", "#Since"]
    return element("section", element("h2", "Under way"), table(heads, rows), id="running") if rows else None


def _history(history: Sequence[Mapping[str, Any]], at: float, links: Mapping[int, Mapping[str, str]]) -> Markup | None:
    rows = [
        (
            result["number"],
            result["name"],
            joined(_mark(result["ending"]), element("small", element("br"), result["reason"]) if result.get("reason") else None),
            _revision(result.get("revision")),
            result["builder"],
            seconds_words(result["seconds"]),
            f"{age_words(at - result['at'])} ago",
            _links(links.get(result["number"], {})),
        )
        for result in history
    ]
    heads = ["#Build", "Image", "Ending", "Revision", "Builder", "#Took", "#Ended", "More"]
    return element("section", element("h2", "Builds that ended"), table(heads, rows), id="history") if rows else None


def _links(found: Mapping[str, str]) -> Content:
    return [[element("a", word, href=address), " "] for word, address in found.items()]


def _mark(state: str) -> Markup:
    return element("span", state, class_=_LOOKS.get(state, "unfinished"))


def _revision(revision: object) -> Markup:
    return element("code", str(revision or "")[:_REVISION_DIGITS])
