"""OpenStack credentials: an entry of clouds.yaml, ``keystone.*`` in Salt's places, or the ``OS_*`` variables.

They are only gathered and checked here: no request goes to the cloud, and no message shows a value.
"""

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vmimage.errors import CredentialsWrong
from vmimage.glance.clouds import read_cloud
from vmimage.settings.auth_options import (
    APPLICATION,
    CONNECTION,
    IDENTITY,
    USER,
    complete_address,
    connection_of,
    is_secret,
    known_kind,
    listed,
    options_of,
    typed,
)
from vmimage.settings.lookup import Placed, Source, known_key, look_up

#: by the keys of keystoneauth1, the names that a user may write; messages use the first
Names = Mapping[str, tuple[str, ...]]

PREFIX = "keystone"
KEYSTONE_KEYS: Names = {
    **{key: (key,) for key in (*IDENTITY, *CONNECTION)},
    "username": ("user", "username"),
    "project_name": ("tenant", "project", "project_name"),
    "project_id": ("tenant_id", "project_id"),
    "user_domain_name": ("user_domain_name", "user_domain"),
    "project_domain_name": ("project_domain_name", "project_domain"),
    "region_name": ("region", "region_name"),
    "insecure": ("insecure", "verify_ssl"),
}
_ADMIN_TOKEN = ("token", "endpoint")  # with which Salt's keystone module signs in to Identity v2
_VARIABLES: Names = {
    **{key: (f"OS_{key.upper()}",) for key in (*IDENTITY, "token", "auth_type", "region_name", "cacert", "insecure")},
    "project_name": ("OS_PROJECT_NAME", "OS_TENANT_NAME"),
    "project_id": ("OS_PROJECT_ID", "OS_TENANT_ID"),
    "default_domain_name": ("OS_DEFAULT_DOMAIN_NAME",),
    "default_domain_id": ("OS_DEFAULT_DOMAIN_ID", "OS_DEFAULT_DOMAIN"),
    "interface": ("OS_INTERFACE", "OS_ENDPOINT_TYPE"),
    "image_endpoint": ("OS_IMAGE_ENDPOINT_OVERRIDE",),
}
_CLOUD: Names = {
    "auth_type": ("auth_type", "auth_plugin"),
    "region_name": ("region_name",),
    "interface": ("interface", "endpoint_type"),
    "cacert": ("cacert",),
    "insecure": ("insecure", "verify"),
    "timeout": ("api_timeout",),
    "image_endpoint": ("image_endpoint_override",),
}
_CLOUD_AUTH: dict[str, tuple[str, ...]] = {
    **{key: (key,) for key in (*IDENTITY, "token")},
    "project_name": ("project_name", "tenant_name"),
    "project_id": ("project_id", "tenant_id"),
}
_CLOUD_DOMAINS: dict[str, tuple[str, ...]] = {  # an unknown loader may mean something else by these
    "default_domain_name": ("default_domain_name", "domain_name"),
    "default_domain_id": ("default_domain_id", "default_domain", "domain_id"),
}
_OPPOSITES = ("keystone.verify_ssl", "verify")


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Credentials of OpenStack, checked.  Neither ``repr`` nor :meth:`public` shows a secret."""

    auth_type: str  # the name of a loader of keystoneauth1, such as v3password
    auth: dict[str, Any] = field(repr=False)  # the options of that loader
    origin: str  # for messages: where all this stands
    region_name: str = ""
    interface: str = "public"
    cacert: str = ""
    insecure: bool = False
    timeout: float = 600  # seconds of silence
    image_endpoint: str = ""

    def public(self) -> dict[str, str]:
        """What people may see, without what is not set."""
        seen = {
            "origin": self.origin,
            "auth_type": self.auth_type,
            "auth_url": self.auth.get("auth_url"),
            "user": self.auth.get("username") or self.auth.get("user_id"),
            "project": self.auth.get("project_name") or self.auth.get("project_id"),
            "application_credential": self.auth.get("application_credential_name") or self.auth.get("application_credential_id"),
            "region": self.region_name,
        }
        return {key: value for key, value in seen.items() if value}


def secrets_of(credentials: Credentials) -> tuple[str, ...]:
    """The strings that no message may contain, the longest first: a secret may be a part of another."""
    secrets = {value for key, value in credentials.auth.items() if is_secret(key) and isinstance(value, str) and value}
    return tuple(sorted(secrets, key=lambda secret: (-len(secret), secret)))


@dataclass(frozen=True)
class _Origin:
    """Where credentials come from, and what was found there: see :mod:`vmimage.settings.auth_options`.

    :ivar title: for messages
    :ivar names: what users call the keys
    :ivar hint: what to do if keys are missing
    :ivar further: options of an unknown loader
    """

    title: str
    names: Names
    hint: str
    found: dict[str, Placed] = field(repr=False)
    further: dict[str, Any] = field(default_factory=dict, repr=False)


def gather_credentials(
    sources: Sequence[Source],
    *,
    cloud: str = "",
    environment: Mapping[str, str] = os.environ,
    required: bool = True,
    ambient: bool = True,
) -> Credentials | None:
    """Find the credentials: the entry ``cloud`` of clouds.yaml, else ``keystone.*``, else the environment's.

    Region, interface, cacert, insecure, timeout and image_endpoint may be set beside an entry of clouds.yaml, and override it.

    :param cloud: name of an entry of clouds.yaml, the setting ami.cloud
    :param environment: for ``OS_*``, and to find clouds.yaml
    :param required: whether there must be credentials
    :param ambient: whether OS_CLOUD and the other ``OS_*`` are used
    :returns: None if there are no credentials and none are required
    :raises CredentialsWrong: naming all that is missing, or what contradicts what, and where it stands
    :raises SettingsWrong: naming an unknown key and where it stands
    """
    keystone = _from_keystone_keys(sources)
    if cloud:
        beside = [place for key, (_, place) in keystone.found.items() if key not in CONNECTION]
        if beside:
            raise CredentialsWrong(
                f"ami.cloud and {listed(beside)} contradict each other", hint="keep one: ami.cloud, or the keystone.* keys"
            )
        return _checked(_from_cloud(cloud, environment, keystone.found))
    if keystone.found:
        return _checked(keystone)
    if ambient:
        variables = _from_variables(environment)
        if environment.get("OS_CLOUD"):
            return _checked(_from_cloud(environment["OS_CLOUD"], environment, variables.found))
        if any(key in variables.found for key in ("auth_url", "password", "token", *USER, *APPLICATION)):
            return _checked(variables)
    if required:
        raise CredentialsWrong("no OpenStack credentials found", hint=_ways(ambient))
    return None


def _ways(ambient: bool = True) -> str:
    ways = [
        "ami.cloud, an entry of clouds.yaml",
        "keystone.auth_url with keystone.application_credential_id and keystone.application_credential_secret",
        "keystone.auth_url with keystone.user, keystone.password and keystone.tenant",
        *(["the variables OS_CLOUD, or OS_AUTH_URL and its like"] if ambient else []),
    ]
    return f"set one of these, best first: {'; '.join(ways)}"


def _from_keystone_keys(sources: Sequence[Source]) -> _Origin:
    known = {*itertools.chain(*KEYSTONE_KEYS.values()), *_ADMIN_TOKEN}
    found = look_up(PREFIX, known, sources, example="auth_url: ADDRESS, user: NAME", secret=True)
    admin = [found[key][1] for key in _ADMIN_TOKEN if key in found]
    if admin:
        hint = f"{_ways(ambient=False)}; the address of the image service itself is keystone.image_endpoint"
        raise CredentialsWrong(f"{listed(admin)} cannot be used: an admin token is of Identity v2, which is gone", hint=hint)
    names = {key: tuple(f"{PREFIX}.{name}" for name in aliases) for key, aliases in KEYSTONE_KEYS.items()}
    by_key = _by_key(names, {f"{PREFIX}.{key}": placed for key, placed in found.items()})
    places = {placed.place.partition(" in the ")[2] for placed in by_key.values()}
    title = f"keystone.* in the {' and '.join(where for where, *_ in sources if where in places)}"
    return _Origin(title, names, _ways(), by_key)


def _from_variables(environment: Mapping[str, str]) -> _Origin:
    found = {name: Placed(value, f"{name} in the environment") for name, value in environment.items()}
    return _Origin("the OS_* variables", _VARIABLES, _ways(), _by_key(_VARIABLES, found))


def _from_cloud(name: str, environment: Mapping[str, str], beside: Mapping[str, Placed]) -> _Origin:
    """The credentials of an entry of clouds.yaml; how to reach the cloud may be set ``beside`` it."""
    reach = {key: placed for key, placed in beside.items() if key in CONNECTION}
    entry, place = read_cloud(name, environment, reach["region_name"].value if "region_name" in reach else "")
    at_top, in_auth = _placed(entry, "", place), _placed(entry["auth"], "auth.", place)
    found = _by_key(_CLOUD, at_top)
    kind, is_known = known_kind(found)
    auth = _CLOUD_AUTH | (_CLOUD_DOMAINS if is_known else {})
    names = {key: (*(f"auth.{alias}" for alias in aliases), *aliases) for key, aliases in auth.items()}
    found |= _by_key(names, at_top | in_auth) | reach
    ours = set(itertools.chain(*names.values()))
    further = {
        key: typed(key, value, f"auth.{key} in {place}") for key, value in entry["auth"].items() if f"auth.{key}" not in ours
    }
    if is_known:
        for key in further:
            known_key("auth", set(itertools.chain(*auth.values())), key, place, secret=True)
    hint = "write it into the entry of clouds.yaml, or a secret into the same entry of secure.yaml"
    return _Origin(place, names, hint, found, further)


def _placed(mapping: Mapping[str, Any], prefix: str, place: str) -> dict[str, Placed]:
    return {f"{prefix}{key}": Placed(value, f"{prefix}{key} in {place}") for key, value in mapping.items()}


def _by_key(names: Names, found: Mapping[str, Placed]) -> dict[str, Placed]:
    """What was found under the users' names, by the keys of keystoneauth1, each of its type.

    :raises CredentialsWrong: if two names of the same key have different values
    """
    by_key: dict[str, Placed] = {}
    for key, aliases in names.items():
        for alias in aliases:
            if alias not in found:
                continue
            place = found[alias].place
            value = typed(key, found[alias].value, place, opposite=alias in _OPPOSITES)
            if value == "":
                continue
            first = by_key.setdefault(key, Placed(value, place))
            if value != first.value:
                raise CredentialsWrong(f"{listed([first.place, place])} are different values for the same key", hint="keep one")
    return by_key


def _checked(origin: _Origin) -> Credentials:
    """The credentials from an origin, if they are complete and do not contradict each other."""
    kind, is_known = known_kind(origin.found)
    if is_known:
        auth = options_of(kind, origin.found, origin.names, origin.title, origin.hint)
    else:
        auth = {
            key: placed.value for key, placed in origin.found.items() if key not in (*CONNECTION, "auth_type")
        } | origin.further
    if "auth_url" in auth and kind.startswith("v3"):
        auth["auth_url"] = complete_address(*origin.found["auth_url"])
    return Credentials(auth_type=kind, auth=auth, origin=origin.title, **connection_of(origin.found))
