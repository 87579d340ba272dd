"""Settings that may hold a secret, and how they are checked without that a message shows one."""

import re

from vmimage.settings.auth_options import is_secret

#: the beginning of an address that was cut at a # of its password
_NO_PORT = re.compile(r"://[^/]*?:(?!\d{1,5}(/|$))")


def holds_secret(key, value):
    """Whether a value of ami is for root alone: by its name, or by an address in it that may hold a password."""
    if key == "pillar" or any(is_secret(name) for name in (key, *_names_in(value))):
        return True
    text = ":".join(texts_in(value))  # together: YAML may have cut an address into pieces
    return "@" in text.partition(":")[2] or "?" in text.partition("://")[2] or any(map(_NO_PORT.search, texts_in(value)))


def _names_in(value):
    """The keys in a value, at every depth."""
    if isinstance(value, dict):
        yield from value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _names_in(one)


def texts_in(value):
    """The texts in a value, at every depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield key
            yield from texts_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts_in(one)


def _veil(kind):
    """A kind of value that is its value to who reckons with it, and nothing to who shows it."""
    return type(kind.__name__, (kind,), dict.fromkeys(("__repr__", "__str__", "__format__"), lambda *_: "***"))


_VEILED = {kind: _veil(kind) for kind in (str, int, float)}


def veiled(value):
    """A value whose texts and numbers no message can show."""
    if isinstance(value, dict):
        return {veiled(key): veiled(one) for key, one in value.items()}
    if isinstance(value, list):
        return [veiled(one) for one in value]
    return _VEILED[type(value)](value) if type(value) in _VEILED else value
