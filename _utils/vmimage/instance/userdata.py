"""The kind of an instance's userdata, and its settings, sorted into grains and secrets.

A script, cloud-config, MIME, base64, or anything packed is ignored (:mod:`vmimage.instance.userdata_kind`).  The rest is YAML, as
:mod:`vmimage.settings.strict_yaml` reads it, and contains settings of this project and nothing else.  No message shows a value of
``keystone.*``, of ``ami.pillar``, or an address that contains a password.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vmimage.errors import SettingsWrong, UserdataWrong
from vmimage.glance import credentials
from vmimage.instance.userdata_kind import is_of_cloud_config, kind_of_others, settings_among
from vmimage.settings.auth_options import CONNECTION, IDENTITY
from vmimage.settings.gather import gather_settings, kinds_of
from vmimage.settings.lookup import Source, known_key
from vmimage.settings.schema import KEYS
from vmimage.settings.secrets import holds_secret, texts_in, veiled
from vmimage.settings.strict_yaml import name_place, read_document

_WHAT = "the userdata"
_LONGEST = 4096  # characters of a text outside of ami.pillar
_LONGEST_MESSAGE = 400
_BOM = b"\xef\xbb\xbf"
_OF_SHELL = re.compile(r"(?:^|\s)OS_[A-Z_]+=")
#: keys of keystone that are no text
_NO_TEXT = ("timeout", "insecure", "verify_ssl")
#: by key; values are of any type, as YAML has them
Values = dict[str, Any]
#: ``{path of a key: its line}``
Lines = Mapping[str, int]


@dataclass(frozen=True)
class Sorted:
    """Userdata, sorted.

    :ivar grains: for everybody on the machine to read: ``{"ami": {...}}``, or empty
    :ivar secrets: for root alone, as minion config: ``{"ami": {...}, "keystone": {...}}``, or less
    :ivar kind: settings, empty, or the kind that is ignored: script, cloud-config, cloud-init, mime, compressed, program, base64
    """

    grains: dict[str, Values] = field(default_factory=dict)
    secrets: dict[str, Values] = field(default_factory=dict, repr=False)
    kind: str = "empty"


def sort_userdata(data: bytes) -> Sorted:
    """Find out what userdata is, and sort the settings in it.

    :param data: as the cloud gives it
    :raises UserdataWrong: if it should be settings and is not, or not only
    :raises SettingsWrong: naming the unknown, mistyped or contradictory key and its line
    """
    data = bytes(data).removeprefix(_BOM).rstrip(b"\0")  # some services fill up with zeros
    kind = kind_of_others(data)
    if kind:
        if misplaced := settings_among(data, kind):
            raise UserdataWrong(f"{_WHAT} is {misplaced[0]}", hint=misplaced[1])
        return Sorted(kind=kind)
    document, lines = read_document(data, _WHAT)
    ami, keystone = _settings_of(document, lines)
    _check_ami(ami, lines)
    _check_keystone(keystone, lines)
    secret = {key for key, value in ami.items() if holds_secret(key, value)}
    grains = {"ami": {key: value for key, value in ami.items() if key not in secret}}
    secrets = {"ami": {key: ami[key] for key in ami if key in secret}, "keystone": keystone}
    return Sorted(_filled(grains), _filled(secrets), "settings" if ami or keystone else "empty")


def _filled(mapping: dict[str, Values]) -> dict[str, Values]:
    return {key: value for key, value in mapping.items() if value}


# the settings in it


def _settings_of(document: Any, lines: Lines) -> tuple[Values, Values]:
    """``(ami, keystone)``: what is set, by key; what is left empty is not set.

    :param document: of any type, as YAML has it
    """
    if isinstance(document, str) and _OF_SHELL.search(document):
        raise UserdataWrong(
            f"{_WHAT} is lines of a shell (OS_...), no settings",
            hint="write them as keystone.auth_url: ADDRESS, keystone.user: NAME and so on",
        )
    if document is not None and not isinstance(document, dict):
        raise UserdataWrong(f"{_WHAT} is YAML, but no settings", hint="write them as KEY: VALUE, such as ami.name: web")
    found: dict[str, Values] = {"ami": {}, "keystone": {}}
    for name, value in (document or {}).items():
        prefix, dot, key = name.partition(".")
        if prefix not in found or dot and not key:
            raise _unknown(name, lines[name])
        below = {key: value} if dot else {} if value is None else value
        if not isinstance(below, dict):
            example = "type: debian" if prefix == "ami" else "auth_url: ADDRESS, user: NAME"
            raise UserdataWrong(f"{_place(name, lines[name])} is not a mapping", hint=f"write {prefix}: {{{example}}}")
        for key in below.keys() & found[prefix].keys():
            path = f"{prefix}.{key}"
            raise UserdataWrong(f"{_place(path, lines[path])} stands twice, nested and flat", hint="keep one")
        found[prefix] |= below
    _check_names(found, lines)
    return _set(found["ami"]), _set(found["keystone"])


def _set(values: Values) -> Values:
    return {key: value for key, value in values.items() if value is not None}


def _unknown(name: str, line: int) -> UserdataWrong:
    """The error of a key that is neither of ami nor of keystone."""
    known = [*(f"ami.{key}" for key in KEYS), *(f"keystone.{key}" for key in (*IDENTITY, *CONNECTION, "user", "tenant"))]
    near = [f"ami.{name}"] if name in KEYS else difflib.get_close_matches(name.lower(), ["ami", "keystone", *known], 1)
    hints = [f"did you mean {key}?" for key in near]
    if is_of_cloud_config(name):
        hints.append("this looks like cloud-config: its very first line has to be #cloud-config")
    hint = " ".join(hints) or "settings begin with ami. or keystone., such as ami.name: web"
    return UserdataWrong(f"unknown key {_place(name, line)}", hint=hint)


def _place(name: str, line: int) -> str:
    return name_place(name, line, _WHAT)


def _source(prefix: str, key: str, value: object, lines: Lines) -> Source:
    """A single key as a place to look settings up in: so messages name its line."""
    return f"userdata (line {lines[f'{prefix}.{key}']})", {prefix: {key: value}}, {f"{prefix}:{key}": value}.get


def _check_names(found: dict[str, Values], lines: Lines) -> None:
    for key in found["ami"]:
        known_key("ami", KEYS, key, f"{_WHAT} (line {lines[f'ami.{key}']})", secret=True)
    # names only: what is missing here may stand elsewhere, and the credentials are checked as a whole when they are used
    names = [_source("keystone", key, None, lines) for key in found["keystone"]]
    credentials.gather_credentials(names, environment={}, required=False, ambient=False)


def _check_ami(ami: Values, lines: Lines) -> None:
    """What :func:`~vmimage.settings.gather.gather_settings` checks, with messages for a person who wrote YAML by hand."""
    for key, value in ami.items():
        place = _place(f"ami.{key}", lines[f"ami.{key}"])
        if _is_unquoted(value, kinds_of(key)):
            raise _no_text(place)
        if key != "pillar" and any(len(text) > _LONGEST for text in texts_in(value)):
            raise UserdataWrong(f"{place} is very long", hint=f"up to {_LONGEST} characters")
    shown = {key: veiled(value) if holds_secret(key, value) else value for key, value in ami.items()}
    try:
        gather_settings([_source("ami", key, value, lines) for key, value in shown.items()])
    except SettingsWrong as wrong:
        message = wrong.message if len(wrong.message) <= _LONGEST_MESSAGE else f"{wrong.message[:_LONGEST_MESSAGE]}..."
        raise SettingsWrong(_with_line(message, lines), hint=wrong.hint) from None


def _is_unquoted(value: object, kinds: tuple[type, ...]) -> bool:
    """Whether YAML made numbers or booleans of what should be texts."""
    if isinstance(value, list):
        return list in kinds and any(isinstance(item, (bool, int, float)) for item in value)
    return isinstance(value, (bool, int, float)) and str in kinds and not {bool, int, float} & set(kinds)


def _no_text(place: str) -> UserdataWrong:
    return UserdataWrong(f"{place} is a number, true or false to YAML, not a text", hint="put it in quotes")


def _with_line(message: str, lines: Lines) -> str:
    """A message of the settings that names a key alone, with the line of the key."""
    key = re.search(r"ami\.\w+", message)
    if "userdata" in message or not key or key[0] not in lines:
        return message
    return f"{message} (line {lines[key[0]]} of {_WHAT})"


def _check_keystone(keystone: Values, lines: Lines) -> None:
    for key, value in keystone.items():
        place = _place(f"keystone.{key}", lines[f"keystone.{key}"])
        if isinstance(value, (dict, list)):
            raise UserdataWrong(f"{place} is not a single value", hint="a text that begins with [ or { goes in quotes")
        if not isinstance(value, str) and key not in _NO_TEXT:
            raise _no_text(place)
