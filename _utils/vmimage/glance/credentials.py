"""Who we are to the cloud: an entry of clouds.yaml, ``keystone.*`` in Salt's places, or the ``OS_*`` variables.

Only gathered and checked here: nothing is asked of the cloud, and no message shows a value.
"""

import itertools
import os
from dataclasses import dataclass, field

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
from vmimage.settings.lookup import known_key, look_up

PREFIX = "keystone"
#: by our keys, the names that a user may write; messages use the first
KEYSTONE_KEYS = {
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
_VARIABLES = {
    **{key: (f"OS_{key.upper()}",) for key in (*IDENTITY, "token", "auth_type", "region_name", "cacert", "insecure")},
    "project_name": ("OS_PROJECT_NAME", "OS_TENANT_NAME"),
    "project_id": ("OS_PROJECT_ID", "OS_TENANT_ID"),
    "default_domain_name": ("OS_DEFAULT_DOMAIN_NAME",),
    "default_domain_id": ("OS_DEFAULT_DOMAIN_ID", "OS_DEFAULT_DOMAIN"),
    "interface": ("OS_INTERFACE", "OS_ENDPOINT_TYPE"),
    "image_endpoint": ("OS_IMAGE_ENDPOINT_OVERRIDE",),
}
_CLOUD = {
    "auth_type": ("auth_type", "auth_plugin"),
    "region_name": ("region_name",),
    "interface": ("interface", "endpoint_type"),
    "cacert": ("cacert",),
    "insecure": ("insecure", "verify"),
    "timeout": ("api_timeout",),
    "image_endpoint": ("image_endpoint_override",),
}
_CLOUD_AUTH = {
    **{key: (key,) for key in (*IDENTITY, "token")},
    "project_name": ("project_name", "tenant_name"),
    "project_id": ("project_id", "tenant_id"),
}
_CLOUD_DOMAINS = {  # a loader that we do not know may mean something else by these
    "default_domain_name": ("default_domain_name", "domain_name"),
    "default_domain_id": ("default_domain_id", "default_domain", "domain_id"),
}
_OPPOSITES = ("keystone.verify_ssl", "verify")


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Who we are to the cloud, checked.  Neither ``repr`` nor :meth:`public` shows a secret."""

    auth_type: str  # the name of a loader of keystoneauth1, such as v3password
    auth: dict = field(repr=False)  # the options of that loader
    origin: str  # for messages: where all this stands
    region_name: str = ""
    interface: str = "public"
    cacert: str = ""
    insecure: bool = False
    timeout: float = 600  # seconds of silence
    image_endpoint: str = ""

    def public(self):
        """What people may see, a dict without what is not set."""
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


def secrets_of(credentials):
    """The strings that no message may hold, a tuple, the longest first: one may be a part of another."""
    secrets = {value for key, value in credentials.auth.items() if is_secret(key) and isinstance(value, str) and value}
    return tuple(sorted(secrets, key=lambda one: (-len(one), one)))


@dataclass(frozen=True)
class _Way:
    """One way of telling who we are, and what was told by it: see :mod:`vmimage.settings.auth_options`."""

    origin: str
    names: dict  # what users call the keys
    hint: str  # what to do if some are missing
    told: dict = field(repr=False)
    further: dict = field(default_factory=dict, repr=False)  # options of a loader that we do not know


def gather_credentials(sources, *, cloud="", environment=os.environ, required=True, ambient=True):
    """Find out who we are to the cloud: the entry ``cloud`` of clouds.yaml, else ``keystone.*``, else the environment's.

    Region, interface, cacert, insecure, timeout and image_endpoint may be told beside an entry of clouds.yaml, and outweigh it.

    :param list sources: as :func:`vmimage.settings.lookup.look_up` takes them
    :param str cloud: name of an entry of clouds.yaml, the setting ami.cloud
    :param environment: for ``OS_*``, and to find clouds.yaml
    :param bool required: whether there must be credentials
    :param bool ambient: whether OS_CLOUD and the other ``OS_*`` are asked
    :returns: :class:`Credentials`, or None if there are none and none are required
    :raises CredentialsWrong: naming all that is missing, or what contradicts what, and where it stands
    :raises SettingsWrong: naming an unknown key and where it stands
    """
    keystone = _keystone_way(sources)
    if cloud:
        who = [place for key, (_, place) in keystone.told.items() if key not in CONNECTION]
        if who:
            raise CredentialsWrong(
                f"ami.cloud and {listed(who)} contradict each other", hint="keep one: ami.cloud, or the keystone.* keys"
            )
        return _checked(_cloud_way(cloud, environment, keystone.told))
    if keystone.told:
        return _checked(keystone)
    variables = _variables_way(environment) if ambient else None
    if ambient and environment.get("OS_CLOUD"):
        return _checked(_cloud_way(environment["OS_CLOUD"], environment, variables.told))
    if ambient and any(key in variables.told for key in ("auth_url", "password", "token", *USER, *APPLICATION)):
        return _checked(variables)
    if required:
        raise CredentialsWrong("nothing says who we are to the cloud", hint=_ways(ambient))
    return None


def _ways(ambient=True):
    ways = [
        "ami.cloud, an entry of clouds.yaml",
        "keystone.auth_url with keystone.application_credential_id and keystone.application_credential_secret",
        "keystone.auth_url with keystone.user, keystone.password and keystone.tenant",
        *(["the variables OS_CLOUD, or OS_AUTH_URL and its like"] if ambient else []),
    ]
    return f"set one of these, best first: {'; '.join(ways)}"


def _keystone_way(sources):
    known = {*itertools.chain(*KEYSTONE_KEYS.values()), *_ADMIN_TOKEN}
    found = look_up(PREFIX, known, sources, example="auth_url: ADDRESS, user: NAME", secret=True)
    admin = [found[key][1] for key in _ADMIN_TOKEN if key in found]
    if admin:
        hint = f"{_ways(ambient=False)}; the address of the image service itself is keystone.image_endpoint"
        raise CredentialsWrong(f"{listed(admin)} cannot be used: an admin token is of Identity v2, which is gone", hint=hint)
    names = {key: tuple(f"{PREFIX}.{name}" for name in aliases) for key, aliases in KEYSTONE_KEYS.items()}
    told = _told(names, {f"{PREFIX}.{key}": one for key, one in found.items()})
    places = {place.partition(" in the ")[2] for _, place in told.values()}
    origin = f"keystone.* in the {' and '.join(where for where, *_ in sources if where in places)}"
    return _Way(origin, names, _ways(), told)


def _variables_way(environment):
    found = {name: (value, f"{name} in the environment") for name, value in environment.items()}
    return _Way("the OS_* variables", _VARIABLES, _ways(), _told(_VARIABLES, found))


def _cloud_way(name, environment, beside):
    """The way of an entry of clouds.yaml; ``beside`` it may be told how to reach the cloud."""
    reach = {key: one for key, one in beside.items() if key in CONNECTION}
    entry, place = read_cloud(name, environment, reach.get("region_name", ("",))[0])
    at_top, in_auth = _placed(entry, "", place), _placed(entry["auth"], "auth.", place)
    told = _told(_CLOUD, at_top)
    kind, is_known = known_kind(told)
    auth = _CLOUD_AUTH | (_CLOUD_DOMAINS if is_known else {})
    names = {key: (*(f"auth.{one}" for one in aliases), *aliases) for key, aliases in auth.items()}
    told |= _told(names, at_top | in_auth) | reach
    ours = set(itertools.chain(*names.values()))
    further = {
        key: typed(key, value, f"auth.{key} in {place}") for key, value in entry["auth"].items() if f"auth.{key}" not in ours
    }
    if is_known:
        for key in further:
            known_key("auth", set(itertools.chain(*auth.values())), key, place, secret=True)
    hint = "write it into the entry of clouds.yaml, or a secret into the same entry of secure.yaml"
    return _Way(place, names, hint, told, further)


def _placed(mapping, prefix, place):
    return {f"{prefix}{key}": (value, f"{prefix}{key} in {place}") for key, value in mapping.items()}


def _told(names, found):
    """What was found, by our keys, each of its type; two values under two names of one thing are refused."""
    told = {}
    for key, aliases in names.items():
        values = [(typed(key, *found[one], opposite=one in _OPPOSITES), found[one][1]) for one in aliases if one in found]
        values = [(value, place) for value, place in values if value != ""]
        others = [place for value, place in values if value != values[0][0]]
        if others:
            raise CredentialsWrong(f"{listed([values[0][1], others[0]])} are two values for one thing", hint="keep one")
        if values:
            told[key] = values[0]
    return told


def _checked(way):
    """The credentials of a way, if they are whole and of one piece."""
    kind, is_known = known_kind(way.told)
    if is_known:
        auth = options_of(kind, way.told, way.names, way.origin, way.hint)
    else:
        auth = {key: value for key, (value, _) in way.told.items() if key not in (*CONNECTION, "auth_type")} | way.further
    if "auth_url" in auth and kind.startswith("v3"):
        auth["auth_url"] = complete_address(*way.told["auth_url"])
    return Credentials(auth_type=kind, auth=auth, origin=way.origin, **connection_of(way.told))
