"""Whether what was told of who we are is of its types, whole, and of one piece.

``told`` is ``{key: (value, "NAME in the PLACE")}``, its keys the option names of keystoneauth1.  No message shows a value, for any
of them may be a password that was put in the wrong place: what is wrong is told by its name and where it stands.
"""

import os
import re
from urllib.parse import urlsplit

from vmimage.errors import CredentialsWrong

USER, PROJECT = ("username", "user_id"), ("project_name", "project_id")
APPLICATION = ("application_credential_id", "application_credential_name", "application_credential_secret")
DOMAINS = ("user_domain_name", "user_domain_id", "project_domain_name", "project_domain_id")
IDENTITY = ("auth_url", *USER, "password", *PROJECT, *DOMAINS, *APPLICATION)
DEFAULT_DOMAINS = ("default_domain_name", "default_domain_id")
#: how to reach the cloud; the rest is who we are
CONNECTION = ("region_name", "interface", "cacert", "insecure", "timeout", "image_endpoint")

_STRINGS = (*IDENTITY, *DEFAULT_DOMAINS, *CONNECTION, "token", "auth_type")
_SECRET = re.compile(r"(password|passcode|secret|token|key|code)$")
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_KINDS = {"password": "v3password", "token": "v3token"}  # keystoneauth1's own would first ask the cloud for its versions
_EXAMPLE = "such as https://cloud.example.org:5000/v3"
#: what each kind needs, one of each tuple
_NEEDED = {
    "v3password": (("auth_url",), USER, ("password",), PROJECT),
    "v3applicationcredential": (("auth_url",), APPLICATION[:2], APPLICATION[2:]),
    "v3token": (("auth_url",), ("token",), PROJECT),
}
#: what contradicts each kind, and why
_AGAINST = {
    "v3password": ((*APPLICATION, "token"), "keep one: a user with a password, an application credential, or a token"),
    "v3applicationcredential": (
        ("password", "token", *PROJECT),
        "an application credential is bound to its user and project: give it alone (with its name goes the user)",
    ),
    "v3token": (("password", *USER, *APPLICATION), "a token stands for its user: give it alone, with a project"),
}


def is_secret(key):
    """Whether an option of keystoneauth1 is a secret, by its name: so are those of plugins that we do not know."""
    return bool(_SECRET.search(key))


# each value


def typed(key, value, place, *, opposite=False):
    """The value as it is used, if it can be meant for this key; an empty str is nothing."""
    if key == "timeout":
        return _seconds(value, place)
    if key == "insecure" and value != "":
        return _truth(value, place) is not opposite
    if (key in _STRINGS or is_secret(key)) and not isinstance(value, str):
        raise CredentialsWrong(f"{place} is not a str", hint="put it in quotes: YAML reads 0123 as a number, and as another one")
    return _CHECKS[key](value, place) if value and key in _CHECKS else value


def _seconds(value, place):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e9:
        raise CredentialsWrong(f"{place} is not a number of seconds above 0", hint="the seconds of silence to wait, such as 600")
    return value


def _truth(value, place):
    if isinstance(value, str) and value.lower() in _WORDS:
        return _WORDS[value.lower()]
    if not isinstance(value, bool):
        raise CredentialsWrong(f"{place} is not a bool", hint="true or false")
    return value


def _interface(value, place):
    if value.removesuffix("URL") not in ("public", "internal", "admin"):
        raise CredentialsWrong(f"{place} is not an interface", hint="public, internal or admin")
    return value.removesuffix("URL")  # publicURL is how it was called before


def _file(value, place):
    if not value.isprintable() or not os.path.isfile(os.path.expanduser(value)):
        raise CredentialsWrong(f"{place} names no file", hint="the path of a file of certificates in PEM, on the builder")
    return os.path.expanduser(value)


def _address(url, place):
    """The address without a slash at its end."""
    if "@" in url:
        raise CredentialsWrong(f"{place} holds an @", hint="name and password have their own keys, the address goes without them")
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # its text quotes the address
        good = False
    if not good or not url.isprintable() or re.search(r"[\s?#\\]", url):
        raise CredentialsWrong(f"{place} is not an address", hint=_EXAMPLE)
    return url.rstrip("/")


_CHECKS = {"auth_url": _address, "image_endpoint": _address, "interface": _interface, "cacert": _file}


def complete_address(url, place):
    """The address of Identity v3: ``/v3`` is appended where it is missing, to a bare host as to a path like ``/identity``."""
    path = urlsplit(url).path
    if re.search(r"/v2(\.\d+)?(/|$)", path):
        raise CredentialsWrong(f"{place} is of Identity v2, which is gone", hint=f"give the v3 address, {_EXAMPLE}")
    if "/v3/" in path:
        raise CredentialsWrong(f"{place} goes on after /v3", hint=_EXAMPLE)
    return url if path.endswith("/v3") else f"{url}/v3"


# the whole


def known_kind(told):
    """The name of keystoneauth1's loader, by what was told: the auth_type, or what there is.

    :returns: the name, and whether it is one of those whose options are known here
    """
    if "auth_type" in told:
        value, place = told["auth_type"]
        if value.startswith("v2"):
            raise CredentialsWrong(f"{place} is of Identity v2, which is gone", hint="leave it out, and give the v3 address")
        kind = _KINDS.get(value, value)
    elif any(key in told for key in APPLICATION):
        kind = "v3applicationcredential"
    else:
        kind = "v3token" if "token" in told else "v3password"
    return kind, kind in _NEEDED


def options_of(kind, told, names, origin, hint):
    """The options of a known loader.

    :param dict names: what users call the keys, for messages: ``{key: (name, ...)}``
    :param str origin: where all this stands
    :param str hint: what to do if some are missing
    :raises CredentialsWrong: naming what contradicts each other, or all that is missing
    """
    by_name = kind == "v3applicationcredential" and APPLICATION[0] not in told and APPLICATION[1] in told
    needed = _NEEDED[kind] + ((USER,) if by_name else ())
    _check_contradictions(kind, told)
    missing = [names[keys[0]][0] for keys in needed if not any(key in told for key in keys)]
    if missing:
        found = listed([place for _, place in told.values()]) or f"nothing in {origin}"
        raise CredentialsWrong(f"{_joined(missing)} {'are' if missing[1:] else 'is'} missing (found {found})", hint=hint)
    options = {key: told[key][0] for keys in (*needed, USER, PROJECT) for key in keys if key in told}
    return options | _domain("user", USER, told) | _domain("project", PROJECT, told)


def _check_contradictions(kind, told):
    against, hint = _AGAINST[kind]
    if kind == "v3applicationcredential" and APPLICATION[1] not in told:
        against += USER
    wrong = [told[key][1] for key in against if key in told]
    if wrong:
        own = [told[key][1] for key in (*APPLICATION, "token", "auth_type") if key in told and key not in against]
        raise CredentialsWrong(f"{listed([*own, *wrong])} contradict each other", hint=hint)


def _domain(whose, keys, told):
    """The domain of a user or project: its own, the common one, or ``default``; one that is given by its id alone needs none."""
    if not any(key in told for key in keys):
        return {}
    for prefix in (f"{whose}_domain", "default_domain"):
        domain = {f"{whose}_domain_{part}": told[f"{prefix}_{part}"][0] for part in ("name", "id") if f"{prefix}_{part}" in told}
        if domain:
            return domain
    return {f"{whose}_domain_id": "default"} if keys[0] in told else {}


def connection_of(told):
    """How to reach the cloud."""
    connection = {key: told[key][0] for key in CONNECTION if key in told}
    if connection.get("insecure") and "cacert" in connection:
        both = listed([told["insecure"][1], told["cacert"][1]])
        raise CredentialsWrong(f"{both} contradict each other", hint="keep cacert: with insecure, anybody may be the cloud")
    return connection


# for messages


def listed(places):
    """Places as a text, those in one place together: ``keystone.user and keystone.password in the pillar``."""
    groups = {}
    for place in places:
        name, _, where = place.partition(" in ")
        groups.setdefault(where, []).append(name)
    return " and ".join(f"{_joined(names)} in {where}" for where, names in groups.items())


def _joined(names):
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
