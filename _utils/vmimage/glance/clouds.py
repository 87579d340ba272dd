"""An entry of clouds.yaml, found as openstacksdk finds it: the first file wins, secure.yaml lies over it, its profile below.

No message shows a value of these files: they hold passwords.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from vmimage.errors import CredentialsWrong

SITE_DIRECTORY = "/etc/openstack"
_SUFFIXES = (".yaml", ".yml", ".json")


#: of clouds.yaml; values are of any type, as YAML has them
Entry = dict[str, Any]


def read_cloud(name: str, environment: Mapping[str, str], region: str = "") -> tuple[Entry, str]:
    """The entry of a cloud, with its secrets, its vendor's profile and the values of its region merged into it.

    :param environment: ``OS_CLIENT_CONFIG_FILE``, ``OS_CLIENT_SECURE_FILE`` and ``HOME`` are used
    :param region: which of several ``regions``; default: the first
    :returns: the entry, whose ``auth`` is a dict, and where it stands: ``the cloud NAME in PATH``
    :raises CredentialsWrong: naming the file, and the entries that there are
    """
    variables = {"clouds": "OS_CLIENT_CONFIG_FILE", "secure": "OS_CLIENT_SECURE_FILE"}
    files = [_find_file(environment, stem, variable) for stem, variable in variables.items()]
    clouds = [(path, _section(path, "clouds")) for path in files if path]
    if not clouds:
        looked = ", ".join(str(directory) for directory in _directories(environment))
        raise CredentialsWrong(
            f"the cloud {name} is not known: there is no clouds.yaml", hint=f"put it into any of these directories: {looked}"
        )
    having = [(path, section) for path, section in clouds if name in section]
    if not having:
        known = ", ".join(sorted({key for _, section in clouds for key in section})) or "none"
        raise CredentialsWrong(f"{clouds[0][0]} has no cloud {name}", hint=f"it has: {known}")
    place = f"the cloud {name} in {' and '.join(path for path, _ in having)}"
    entry: Entry = {"auth": {}}
    for _, section in having:
        entry = _laid_over(entry, _entry(section[name], place))
    return _in_region(_with_profile(entry, place, environment), region, place), place


def _directories(environment: Mapping[str, str]) -> list[Path]:
    home = environment.get("HOME") or os.path.expanduser("~")
    return [Path(), Path(home) / ".config/openstack", Path(SITE_DIRECTORY)]


def _find_file(environment: Mapping[str, str], stem: str, variable: str) -> str:
    """The path of the first such file that there is, or an empty string."""
    path = environment.get(variable)
    if path:
        if not os.path.isfile(path):
            raise CredentialsWrong(
                f"{variable} in the environment names no file", hint=f"give the path of a {stem}.yaml, or unset it"
            )
        return os.path.abspath(path)
    usual = [directory / f"{stem}{suffix}" for directory in _directories(environment) for suffix in _SUFFIXES]
    return next((os.path.abspath(path) for path in usual if os.path.isfile(path)), "")


def _section(path: str, key: str) -> dict[str, Any]:
    """The entries of a file by their names."""
    entries = _mapping(_mapping(_parsed(path), path).get(key), f"{key} in {path}")
    return {str(name): entry for name, entry in entries.items()}


def _parsed(path: str) -> Any:
    """What a file of YAML contains, of any type."""
    try:
        return yaml.safe_load(Path(path).read_bytes())
    except OSError as error:
        raise CredentialsWrong(f"{path} cannot be read: {error.strerror}", hint="check its owner and mode") from None
    except Exception as error:  # also ValueError, KeyError and more, of scalars that look like dates; its text quotes the file
        mark = getattr(error, "problem_mark", None)
        where = f" near line {mark.line + 1}" if mark else ""
        raise CredentialsWrong(f"{path} is not YAML{where}", hint="check its quotes and indentation") from None


def _mapping(value: Any, what: str) -> Mapping[Any, Any]:
    """A value of any type, if it is a mapping; nothing is an empty mapping."""
    if value is not None and not isinstance(value, Mapping):
        raise CredentialsWrong(f"{what} is not a mapping", hint="write it as openstacksdk documents clouds.yaml")
    return value or {}


def _entry(value: Any, place: str) -> Entry:
    entry = _plain(_mapping(value, place))
    return {**entry, "auth": _plain(_mapping(entry.get("auth"), f"auth in {place}"))}


def _plain(mapping: Mapping[Any, Any]) -> dict[str, Any]:
    """Its keys with underscores, as openstacksdk reads them, and without those that are left empty."""
    return {str(key).replace("-", "_"): value for key, value in mapping.items() if value is not None}


def _laid_over(low: Entry, high: Entry) -> Entry:
    return {**low, **high, "auth": {**low["auth"], **high["auth"]}}


def _with_profile(entry: Entry, place: str, environment: Mapping[str, str]) -> Entry:
    key = "profile" if "profile" in entry else "cloud"
    if key not in entry:
        return entry
    path = _find_file(environment, "clouds-public", "")
    profiles = _section(path, "public-clouds") if path else {}
    if str(entry[key]) not in profiles:
        raise CredentialsWrong(
            f"{key} in {place} names a vendor that is not known here",
            hint=f"write its auth_url and the like into the entry in place of {key}, or the vendor into clouds-public.yaml",
        )
    return _laid_over(_entry(profiles[str(entry[key])], f"the profile of {place}"), entry)


def _in_region(entry: Entry, wanted: str, place: str) -> Entry:
    """The entry with the values of the wanted region, or of its first region."""
    regions = entry.get("regions")
    if not regions:
        return entry
    values: dict[str, Any] = {}
    for region in regions if isinstance(regions, list) else [{}]:
        name = region.get("name") if isinstance(region, Mapping) else region
        if not isinstance(name, str):
            raise CredentialsWrong(f"regions in {place} is not a list of names", hint="regions: [NAME, ...]")
        values.setdefault(name, region.get("values") if isinstance(region, Mapping) else None)
    name = wanted or entry.get("region_name") or next(iter(values))
    if name not in list(values):  # it may be of any type
        raise CredentialsWrong(f"{place} has no region of the name that is set", hint=f"it has: {', '.join(values)}")
    return {**_laid_over(entry, _entry(values[name], f"a region of {place}")), "region_name": name}
