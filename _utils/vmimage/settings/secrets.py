"""Settings that may contain a secret, and how they are checked without a message that shows the secret."""

import re
from collections.abc import Iterator
from typing import Any

from vmimage.settings.auth_options import is_secret

#: the beginning of an address that was cut at a # of its password
_NO_PORT = re.compile(r"://[^/]*?:(?!\d{1,5}(/|$))")


def holds_secret(key: str, value: object) -> bool:
    """Whether a value of ami is for root alone: by its name, or by an address in it that may contain a password."""
    if key == "pillar" or any(is_secret(name) for name in (key, *_names_in(value))):
        return True
    text = ":".join(texts_in(value))  # together: YAML may have cut an address into pieces
    return "@" in text.partition(":")[2] or "?" in text.partition("://")[2] or any(map(_NO_PORT.search, texts_in(value)))


def _names_in(value: object) -> Iterator[str]:
    """The keys in a value, at every depth."""
    if isinstance(value, dict):
        yield from value
    for below in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _names_in(below)


def texts_in(value: object) -> Iterator[str]:
    """The texts in a value, at every depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, below in value.items():
            yield key
            yield from texts_in(below)
    elif isinstance(value, list):
        for below in value:
            yield from texts_in(below)


def _veil(kind: type) -> type:
    """A type whose values compute and compare as those of ``kind``, and are shown as ``***``."""
    return type(kind.__name__, (kind,), dict.fromkeys(("__repr__", "__str__", "__format__"), lambda *_: "***"))


_VEILED = {kind: _veil(kind) for kind in (str, int, float)}


def veiled(value: Any) -> Any:
    """A value, of any type that YAML has, whose texts and numbers no message can show."""
    if isinstance(value, dict):
        return {veiled(key): veiled(below) for key, below in value.items()}
    if isinstance(value, list):
        return [veiled(below) for below in value]
    return _VEILED[type(value)](value) if type(value) in _VEILED else value
