"""What the console of an instance says of its build: the lines of :mod:`vmimage.builder` and of the steps.  Pure functions.

The states of a variation can print what they like: nothing here decides whether an image is there, for that the store is asked.
"""

import re
from typing import Any

from vmimage.errors import printable
from vmimage.fleet.records import Seen, Sight

_LONGEST = 500
_FAILED = re.compile(r"(?:^|\s)vm_create: FAILED at (?P<step>[^:]{1,80}): (?P<error>.*)$")
_DONE = re.compile(
    r"(?:^|\s)vm_create: (?P<name>\S+) (?P<how>is|was already) published: (?P<ids>.*?)(?:, from (?P<revision>\S+))?$"
)
_NOTHING = re.compile(r"(?:^|\s)vm_create: (?P<said>nothing to build: .*|\S+ is built: .*)$")
_STEP = re.compile(r"(?:^|\s)vm_create: (?P<step>start|userdata|sync|code|highstate|variation)$")
_STEP_DONE = re.compile(r"(?:^|\s)(?P<step>[a-z][a-z ]{0,40}) done in [0-9.]+ s$")
_MOVED = re.compile(
    r"(?:^|[\s\]])(?P<step>[a-z]{1,40}): (?P<done>[0-9.]+) (?P<unit>[KMGT]?i?B) of (?P<total>[0-9.]+) (?P<whole>[KMGT]?i?B)\b"
)
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
_UNITS = {unit: 1024**power for power, unit in enumerate(("B", "KiB", "MiB", "GiB", "TiB"))}


def read_console(text: str, name: str) -> Sight:
    """How far a build has come, and how it ended where it has.

    :param name: of the image in the store
    """
    step, percent = "", None
    for raw in text.splitlines():
        line = printable(_CONTROL.sub("", raw)).rstrip()
        if found := _FAILED.search(line):
            return Sight(Seen.ENDED, step=found["step"], error=f"{found['step']}: {found['error']}"[:_LONGEST])
        if found := _DONE.search(line):
            return Sight(Seen.ENDED, result={"published": _published(found, name)})
        if found := _NOTHING.search(line):
            return Sight(Seen.ENDED, error=found["said"][:_LONGEST])
        if found := _STEP.search(line):
            step, percent = found["step"], None
        elif found := _STEP_DONE.search(line):
            step, percent = f"{found['step']} done", None
        elif found := _MOVED.search(line):
            step, percent = found["step"], _percent(found)
    return Sight(Seen.RUNNING, step=step, percent=percent)


def last_line(text: str) -> str:
    """The last line of a console that is not empty."""
    lines = [line.strip() for line in printable(_CONTROL.sub("", text)).splitlines() if line.strip()]
    return lines[-1][:_LONGEST] if lines else "nothing"


def _percent(found: re.Match[str]) -> int | None:
    done = float(found["done"]) * _UNITS.get(found["unit"], 0)
    total = float(found["total"]) * _UNITS.get(found["whole"], 0)
    return min(100, int(100 * done / total)) if total else None


def _published(found: re.Match[str], name: str) -> dict[str, Any]:
    """As ``vm_create.create_variation`` returns it, as far as the last line says it: values are ids and names."""
    first, *others = found["ids"].split("; ")
    ids = dict(re.findall(r"(\w+) ([0-9a-f-]{36})", first))
    outputs = {_kind(found["name"], name): {"name": found["name"], "image": ids.get("image", "")}}
    for words in others:
        if more := re.fullmatch(r"(\S+): image (\S+)", words):
            outputs[_kind(more[1], name)] = {"name": more[1], "image": more[2]}
    revision = {"revision": found["revision"]} if found["revision"] else {}
    return {"name": found["name"], **ids, "outputs": outputs, "changed": found["how"] == "is", **revision}


def _kind(published: str, name: str) -> str:
    return published.removeprefix(f"{name}-") if published != name else "triplet"
