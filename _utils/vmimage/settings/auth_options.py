"""Whether OpenStack credentials have the right types, are complete, and agree with each other.

``found`` is ``{key: (value, "NAME in the PLACE")}``, its keys the option names of keystoneauth1.  No message shows a value, for any
of them may be a password that was put in the wrong place: a message gives the name and the place of what is wrong.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from vmimage.errors import CredentialsWrong
from vmimage.settings.lookup import Placed

USER, PROJECT = ("username", "user_id"), ("project_name", "project_id")
APPLICATION = ("application_credential_id", "application_credential_name", "application_credential_secret")
DOMAINS = ("user_domain_name", "user_domain_id", "project_domain_name", "project_domain_id")
IDENTITY = ("auth_url", *USER, "password", *PROJECT, *DOMAINS, *APPLICATION)
DEFAULT_DOMAINS = ("default_domain_name", "default_domain_id")
#: how to reach the cloud; the others are credentials
CONNECTION = ("region_name", "interface", "cacert", "insecure", "timeout", "image_endpoint")

_STRINGS = (*IDENTITY, *DEFAULT_DOMAINS, *CONNECTION, "token", "auth_type")
_SECRET = re.compile(r"(password|passcode|secret|token|key|code)$")
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_KINDS = {"password": "v3password", "token": "v3token"}  # keystoneauth1's own would first ask the cloud for its versions
_EXAMPLE = "such as https://cloud.example.org:5000/v3"
#: what each kind needs, a key of each tuple
_NEEDED: dict[str, tuple[tuple[str, ...], ...]] = {
    "v3password": (("auth_url",), USER, ("password",), PROJECT),
    "v3applicationcredential": (("auth_url",), APPLICATION[:2], APPLICATION[2:]),
    "v3token": (("auth_url",), ("token",), PROJECT),
}
#: what contradicts each kind, and why
_AGAINST: dict[str, tuple[tuple[str, ...], str]] = {
    "v3password": ((*APPLICATION, "token"), "keep one: a user with a password, an application credential, or a token"),
    "v3applicationcredential": (
        ("password", "token", *PROJECT),
        "an application credential is bound to its user and project: give it alone (with its name goes the user)",
    ),
    "v3token": (("password", *USER, *APPLICATION), "a token stands for its user: give it alone, with a project"),
}


def is_secret(key: str) -> bool:
    """Whether an option of keystoneauth1 is a secret, by its name: this covers the options of unknown plugins, too."""
    return bool(_SECRET.search(key))


# each value


def typed(key: str, value: Any, place: str, *, opposite: bool = False) -> Any:
    """The value as it is used, if it can be meant for this key; an empty string counts as not set.

    :param value: of any type, as YAML or the environment has it
    :param opposite: whether this name of the key means its contrary: ``verify`` for ``insecure``
    :raises CredentialsWrong:
    """
    if key == "timeout":
        return _seconds(value, place)
    if key == "insecure" and value != "":
        return _truth(value, place) is not opposite
    if (key in _STRINGS or is_secret(key)) and not isinstance(value, str):
        raise CredentialsWrong(
            f"{place} is not a string", hint="put it in quotes: YAML reads 0123 as a number, and as another number"
        )
    return _CHECKS[key](value, place) if value and key in _CHECKS else value


def _seconds(value: object, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e9:
        raise CredentialsWrong(f"{place} is not a number of seconds above 0", hint="the seconds of silence to wait, such as 600")
    return value


def _truth(value: object, place: str) -> bool:
    if isinstance(value, str) and value.lower() in _WORDS:
        return _WORDS[value.lower()]
    if not isinstance(value, bool):
        raise CredentialsWrong(f"{place} is not a boolean", hint="true or false")
    return value


def _interface(value: str, place: str) -> str:
    if value.removesuffix("URL") not in ("public", "internal", "admin"):
        raise CredentialsWrong(f"{place} is not an interface", hint="public, internal or admin")
    return value.removesuffix("URL")  # publicURL is its former name


def _file(value: str, place: str) -> str:
    if not value.isprintable() or not os.path.isfile(os.path.expanduser(value)):
        raise CredentialsWrong(f"{place} names no file", hint="the path of a file of certificates in PEM, on the builder")
    return os.path.expanduser(value)


def _address(url: str, place: str) -> str:
    """The address without a slash at its end."""
    if "@" in url:
        raise CredentialsWrong(
            f"{place} contains an @", hint="name and password have their own keys, the address goes without them"
        )
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # its text quotes the address
        good = False
    if not good or not url.isprintable() or re.search(r"[\s?#\\]", url):
        raise CredentialsWrong(f"{place} is not an address", hint=_EXAMPLE)
    return url.rstrip("/")


_CHECKS: dict[str, Callable[[str, str], str]] = {
    "auth_url": _address,
    "image_endpoint": _address,
    "interface": _interface,
    "cacert": _file,
}


def complete_address(url: str, place: str) -> str:
    """The address of Identity v3: ``/v3`` is appended where it is missing, to a bare host as to a path like ``/identity``."""
    path = urlsplit(url).path
    if re.search(r"/v2(\.\d+)?(/|$)", path):
        raise CredentialsWrong(f"{place} is of Identity v2, which is gone", hint=f"give the v3 address, {_EXAMPLE}")
    if "/v3/" in path:
        raise CredentialsWrong(f"{place} goes on after /v3", hint=_EXAMPLE)
    return url if path.endswith("/v3") else f"{url}/v3"


# the whole


def known_kind(found: Mapping[str, Placed]) -> tuple[str, bool]:
    """The name of keystoneauth1's loader: the auth_type, or else the loader of the options that were found.

    :returns: the name, and whether its options are known here
    """
    if "auth_type" in found:
        value, place = found["auth_type"]
        if value.startswith("v2"):
            raise CredentialsWrong(f"{place} is of Identity v2, which is gone", hint="leave it out, and give the v3 address")
        kind = _KINDS.get(value, value)
    elif any(key in found for key in APPLICATION):
        kind = "v3applicationcredential"
    else:
        kind = "v3token" if "token" in found else "v3password"
    return kind, kind in _NEEDED


def options_of(
    kind: str, found: Mapping[str, Placed], names: Mapping[str, Sequence[str]], origin: str, hint: str
) -> dict[str, Any]:
    """The options of a known loader.

    :param names: what users call the keys, for messages: ``{key: (name, ...)}``
    :param origin: where all this stands
    :param hint: what to do if some are missing
    :raises CredentialsWrong: naming what contradicts each other, or all that is missing
    """
    by_name = kind == "v3applicationcredential" and APPLICATION[0] not in found and APPLICATION[1] in found
    needed = _NEEDED[kind] + ((USER,) if by_name else ())
    _check_contradictions(kind, found)
    missing = [names[keys[0]][0] for keys in needed if not any(key in found for key in keys)]
    if missing:
        present = listed([place for _, place in found.values()]) or f"nothing in {origin}"
        raise CredentialsWrong(f"{_joined(missing)} {'are' if missing[1:] else 'is'} missing (found {present})", hint=hint)
    options = {key: found[key].value for keys in (*needed, USER, PROJECT) for key in keys if key in found}
    return options | _domain("user", USER, found) | _domain("project", PROJECT, found)


def _check_contradictions(kind: str, found: Mapping[str, Placed]) -> None:
    against, hint = _AGAINST[kind]
    if kind == "v3applicationcredential" and APPLICATION[1] not in found:
        against += USER
    wrong = [found[key].place for key in against if key in found]
    if wrong:
        own = [found[key].place for key in (*APPLICATION, "token", "auth_type") if key in found and key not in against]
        raise CredentialsWrong(f"{listed([*own, *wrong])} contradict each other", hint=hint)


def _domain(owner: str, keys: Sequence[str], found: Mapping[str, Placed]) -> dict[str, Any]:
    """The domain of a user or project: its own, the common domain, or ``default``; an id needs no domain.

    :param owner: user or project
    :param keys: its name and its id
    """
    if not any(key in found for key in keys):
        return {}
    for prefix in (f"{owner}_domain", "default_domain"):
        domain = {
            f"{owner}_domain_{part}": found[f"{prefix}_{part}"].value for part in ("name", "id") if f"{prefix}_{part}" in found
        }
        if domain:
            return domain
    return {f"{owner}_domain_id": "default"} if keys[0] in found else {}


def connection_of(found: Mapping[str, Placed]) -> dict[str, Any]:
    """How to reach the cloud: the keyword arguments of that kind that credentials take."""
    connection = {key: found[key].value for key in CONNECTION if key in found}
    if connection.get("insecure") and "cacert" in connection:
        both = listed([found["insecure"].place, found["cacert"].place])
        raise CredentialsWrong(f"{both} contradict each other", hint="keep cacert: with insecure, anybody may be the cloud")
    return connection


# for messages


def listed(places: Iterable[str]) -> str:
    """Keys with their places as a text, grouped by place: ``keystone.user and keystone.password in the pillar``."""
    groups: dict[str, list[str]] = {}
    for place in places:
        name, _, where = place.partition(" in ")
        groups.setdefault(where, []).append(name)
    return " and ".join(f"{_joined(names)} in {where}" for where, names in groups.items())


def _joined(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
