"""Where a setting stands: ``prefix.<key>`` in Salt's places, nested (``ami: {type: debian}``) and flat (``ami.type: debian``) alike.

An unknown key is an error that names it: a mistyped key would otherwise silently do something else.
"""

import difflib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from vmimage.errors import SettingsWrong

#: ``(where, mapping, get)``: a name for messages, the mapping whose keys are checked, and a lookup ``get(key)`` that knows
#: ``ami:type`` and ``ami.type`` and returns None where there is no value
Source = tuple[str, Mapping[Any, Any], Callable[[str], Any]]


class Placed(NamedTuple):
    """A value that was found.

    :ivar value: of any type, as YAML has it
    :ivar place: its key and where it stands, for messages: ``ami.type in the pillar``
    """

    value: Any
    place: str


def look_up(
    prefix: str, known: Collection[str], sources: Sequence[Source], *, example: str = "KEY: VALUE", secret: bool = False
) -> dict[str, Placed]:
    """All keys below a prefix, each from the first source that has it.

    :param prefix: what the keys stand below, such as ``ami``
    :param known: the names of all keys that there are
    :param sources: an earlier source overrides the later sources
    :param example: a key and a value, for a message
    :param secret: whether values may be secrets, and no message shows a value
    :raises SettingsWrong: naming the unknown or contradictory key and where it stands
    """
    found = {}
    for where, mapping, get in reversed(sources):
        for key in _keys_of(prefix, known, where, mapping, example, secret):
            value = get(f"{prefix}:{key}")
            value = get(f"{prefix}.{key}") if value is None else value
            if value is not None:
                found[key] = Placed(value, f"{prefix}.{key} in the {where}")
    return found


def known_key(prefix: str, known: Collection[str], key: Any, where: str, *, secret: bool = False) -> str:
    """The key, if there is such a setting.

    :param key: of any type, as YAML has it
    :raises SettingsWrong:
    """
    if key not in known:
        near = difflib.get_close_matches(str(key), known, 1)
        hint = f"did you mean {prefix}.{near[0]}?" if near else f"the settings are: {', '.join(sorted(known))}"
        raise SettingsWrong(f"unknown setting {prefix}.{_shown(key, secret)} in {where}", hint=hint)
    return key


def _keys_of(
    prefix: str, known: Collection[str], where: str, mapping: Mapping[Any, Any], example: str, secret: bool
) -> list[str]:
    """The settings that a source has, nested and flat."""
    nested = mapping.get(prefix) or {}
    if not isinstance(nested, Mapping):
        what = "not a mapping" if secret else f"{nested!r}, not a mapping"
        raise SettingsWrong(f"{prefix} in the {where} is {what}", hint=f"write {prefix}: {{{example}}}")
    flat = [key[len(prefix) + 1 :] for key in mapping if isinstance(key, str) and key.startswith(f"{prefix}.")]
    both = sorted(key for key in set(flat) & set(nested) if mapping[f"{prefix}.{key}"] != nested[key])
    if both:
        raise SettingsWrong(f"{prefix}.{both[0]} stands twice in the {where}, nested and flat, with two values", hint="keep one")
    return [known_key(prefix, known, key, f"the {where}", secret=secret) for key in (*nested, *flat)]


def _shown(key: object, secret: bool) -> str:
    # "password:x", without a space, is a key of YAML: what follows the name is not shown
    text = str(key)
    name = re.sub(r"[^\w.-].*", "", text, flags=re.DOTALL) if secret else text
    return name if name == text else f"{name}..."
