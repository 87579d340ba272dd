"""Looking the settings up in Salt's places, each with the right type, and checking them.

A setting is looked up as ``ami.<key>``, nested (``ami: {type: debian}``) and flat (``ami.type: debian``) alike, in the call's
arguments, the minion config, the grains and the pillar, in this order.  An unknown key is an error that names it: a mistyped key
would otherwise silently build something else.
"""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from vmimage.errors import SettingsWrong
from vmimage.settings.ec2 import check_ec2
from vmimage.settings.lookup import Placed, Source, known_key, look_up
from vmimage.settings.schema import KEYS, PREFIX, Settings
from vmimage.settings.trial import check_trial
from vmimage.settings.validate import check_settings

#: the types of settings, in words
_WORDS = {bool: "a boolean", int: "an integer", str: "a string", list: "a list", dict: "a mapping"}


def gather_settings(sources: Sequence[Source], arguments: Mapping[str, Any] | None = None) -> Settings:
    """Look every setting up and check it.

    :param sources: an earlier source overrides the later sources
    :param arguments: the call's own settings, which override all sources
    :raises SettingsWrong: naming the unknown, mistyped or contradictory key and where it stands
    """
    found = look_up(PREFIX, KEYS, sources, example="type: debian")
    for key, value in (arguments or {}).items():
        known_key(PREFIX, KEYS, key, "an argument")
        if value is not None:
            found[key] = Placed(value, f"the argument {key}")
    settings = Settings(**{key: _typed(key, value, place) for key, (value, place) in found.items()})
    check_settings(settings, {key: place for key, (_, place) in found.items()})
    if "ec2" in found:
        check_ec2(settings.ec2, found["ec2"].place)
    if "trial" in found:
        check_trial(settings.trial, found["trial"].place)
    return settings


def kinds_of(key: str) -> tuple[type, ...]:
    """The types that a setting may have."""
    kind: Any = KEYS[key].type
    return get_args(kind) or (kind,)


def _typed(key: str, value: Any, place: str) -> Any:
    """The value, of any type that YAML has, if it is of the setting's type."""
    kinds = kinds_of(key)
    meaning = f"{PREFIX}.{key}: {KEYS[key].metadata['doc']}"
    if isinstance(value, bool) and bool not in kinds or not isinstance(value, kinds):
        quotes = "put it in quotes; " if str in kinds and isinstance(value, (bool, int, float)) else ""
        wanted = " or ".join(_WORDS[kind] for kind in kinds)
        raise SettingsWrong(f"{place} is {value!r}, not {wanted}", hint=f"{quotes}{meaning}")
    if isinstance(value, list) and not all(isinstance(item, str) for item in value):
        raise SettingsWrong(f"{place} is {value!r}, not a list of strings", hint=meaning)
    return tuple(value) if isinstance(value, list) and kinds == (list,) else value
