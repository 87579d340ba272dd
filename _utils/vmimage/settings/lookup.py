"""Where a setting stands: ``prefix.<key>`` in Salt's places, nested (``ami: {type: debian}``) and flat (``ami.type: debian``) alike.

A key that nobody knows is an error that names it: a mistyped key would otherwise silently do something else.
"""

import difflib
import re
from collections.abc import Mapping

from vmimage.errors import SettingsWrong


def look_up(prefix, known, sources, *, example="KEY: VALUE", secret=False):
    """All keys below a prefix, each from the weightiest source that holds it.

    :param str prefix: what the keys stand below, such as ``ami``
    :param known: the names of all keys that there are
    :param list sources: ``(where, mapping, get)`` from the weightiest to the lightest: a name for messages, the mapping
        whose keys are checked, and a lookup ``get(key)`` that knows ``ami:type`` and ``ami.type`` and returns None for nothing
    :param str example: a key and a value, for a message
    :param bool secret: whether values may be secrets, and no message shows one
    :returns: ``{key: (value, "prefix.key in the WHERE")}``
    :raises SettingsWrong: naming the unknown or contradictory key and where it stands
    """
    found = {}
    for where, mapping, get in reversed(sources):
        for key in _keys_of(prefix, known, where, mapping, example, secret):
            value = get(f"{prefix}:{key}")
            value = get(f"{prefix}.{key}") if value is None else value
            if value is not None:
                found[key] = (value, f"{prefix}.{key} in the {where}")
    return found


def known_key(prefix, known, key, where, *, secret=False):
    """The key, if there is such a setting."""
    if key not in known:
        near = difflib.get_close_matches(str(key), known, 1)
        hint = f"did you mean {prefix}.{near[0]}?" if near else f"the settings are: {', '.join(sorted(known))}"
        raise SettingsWrong(f"unknown setting {prefix}.{_shown(key, secret)} in {where}", hint=hint)
    return key


def _keys_of(prefix, known, where, mapping, example, secret):
    """The settings that a source holds, nested and flat."""
    nested = mapping.get(prefix) or {}
    if not isinstance(nested, Mapping):
        what = "not a mapping" if secret else f"{nested!r}, not a mapping"
        raise SettingsWrong(f"{prefix} in the {where} is {what}", hint=f"write {prefix}: {{{example}}}")
    flat = [key[len(prefix) + 1 :] for key in mapping if isinstance(key, str) and key.startswith(f"{prefix}.")]
    both = sorted(key for key in set(flat) & set(nested) if mapping[f"{prefix}.{key}"] != nested[key])
    if both:
        raise SettingsWrong(f"{prefix}.{both[0]} stands twice in the {where}, nested and flat, with two values", hint="keep one")
    return [known_key(prefix, known, key, f"the {where}", secret=secret) for key in (*nested, *flat)]


def _shown(key, secret):
    # "password:x", without a space, is a key of YAML: what follows the name is not told
    name = re.match(r"[\w.-]*", str(key))[0] if secret else str(key)
    return name if name == str(key) else f"{name}..."
