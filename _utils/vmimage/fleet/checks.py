"""Values of ``ami_fleet``, checked: each refusal names the place and says what to write there."""

import difflib
import re
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

from vmimage.errors import SettingsWrong

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_UNITS = {"": 1, "s": 1, "second": 1, "m": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400, "week": 604800}


def mapping(value: Any, place: str, example: str = "KEY: VALUE") -> dict[str, Any]:
    """A mapping; nothing stands for an empty mapping.

    :param example: of what it holds, for the message
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        refuse(place, "this is no mapping", f"{place.rpartition('.')[2]}: {{{example}}}")
    return dict(value)


def check_keys(given: Mapping[str, Any], known: Collection[str], place: str) -> None:
    """Refuse a key that is not known, with the nearest that is."""
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            hint = f"did you mean {place}.{near[0]}?" if near else f"the keys are {', '.join(sorted(known))}"
            raise SettingsWrong(f"unknown key {place}.{key}", hint=hint)


def check_name(name: Any, place: str) -> str:
    """A name of a fleet, a repository or a kind of builders."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        refuse(place, f"{name!r} is no name", "letters, digits and . _ -, and first a letter or digit")
    return name


def count(value: Any, place: str, least: int) -> int:
    """A whole number.

    :param least: the smallest that is allowed
    """
    if type(value) is not int or value < least:
        refuse(place, f"{value!r}", f"a whole number, {least} or more")
    return int(value)


def seconds_of(value: Any, place: str) -> float:
    """A time: a number of seconds, or ``30 days``."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) *([a-z]*?)s?", str(value)) if not isinstance(value, bool) else None
    if found is None or found[2] not in _UNITS:
        refuse(place, f"{value!r} is no time", "seconds, or a text such as 30 days or 12 hours")
    return float(found[1]) * _UNITS[found[2]]


def refuse(place: str, why: str, hint: str) -> NoReturn:
    """Raise what is wrong at a place, and what to write there.

    :raises SettingsWrong: always
    """
    raise SettingsWrong(f"{place}: {why}", hint=hint)
