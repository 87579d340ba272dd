"""An entry of clouds.yaml, found as openstacksdk finds it: the first file wins, secure.yaml lies over it, its profile below.

No message shows a value of these files: they hold passwords.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import yaml

from vmimage.errors import CredentialsWrong

SITE_DIRECTORY = "/etc/openstack"
_SUFFIXES = (".yaml", ".yml", ".json")


def read_cloud(name, environment, region=""):
    """The entry of a cloud, with its secrets, its vendor's profile and one of its regions merged into it.

    :param str name: of the entry
    :param environment: ``OS_CLIENT_CONFIG_FILE``, ``OS_CLIENT_SECURE_FILE`` and ``HOME`` are looked at
    :param str region: which of several ``regions``; default: the first
    :returns: the entry, a dict whose ``auth`` is a dict, and where it stands: ``the cloud NAME in PATH``
    :raises CredentialsWrong: naming the file, and the entries that there are
    """
    files = [_find_file(environment, *one) for one in (("clouds", "OS_CLIENT_CONFIG_FILE"), ("secure", "OS_CLIENT_SECURE_FILE"))]
    clouds = [(path, _section(path, "clouds")) for path in files if path]
    if not clouds:
        looked = ", ".join(str(directory) for directory in _directories(environment))
        raise CredentialsWrong(f"the cloud {name} is not known: there is no clouds.yaml", hint=f"put one into one of {looked}")
    holders = [(path, section) for path, section in clouds if name in section]
    if not holders:
        there = ", ".join(sorted({str(one) for _, section in clouds for one in section})) or "none"
        raise CredentialsWrong(f"{clouds[0][0]} has no cloud {name}", hint=f"it has: {there}")
    place = f"the cloud {name} in {' and '.join(path for path, _ in holders)}"
    entry = {"auth": {}}
    for _, section in holders:
        entry = _laid_over(entry, _entry(section[name], place))
    return _in_region(_with_profile(entry, place, environment), region, place), place


def _directories(environment):
    home = environment.get("HOME") or os.path.expanduser("~")
    return [Path(), Path(home) / ".config/openstack", Path(SITE_DIRECTORY)]


def _find_file(environment, stem, variable):
    """The path of the first such file that there is, or an empty str."""
    told = environment.get(variable)
    if told and not os.path.isfile(told):
        raise CredentialsWrong(
            f"{variable} in the environment names no file", hint=f"give the path of a {stem}.yaml, or unset it"
        )
    usual = [directory / f"{stem}{suffix}" for directory in _directories(environment) for suffix in _SUFFIXES]
    return next((os.path.abspath(path) for path in ([told] if told else usual) if os.path.isfile(path)), "")


def _section(path, key):
    """The entries of a file by their names."""
    entries = _mapping(_mapping(_parsed(path), path).get(key), f"{key} in {path}")
    return {str(name): entry for name, entry in entries.items()}


def _parsed(path):
    try:
        return yaml.safe_load(Path(path).read_bytes())
    except OSError as error:
        raise CredentialsWrong(f"{path} cannot be read: {error.strerror}", hint="check its owner and mode") from None
    except Exception as error:  # also ValueError, KeyError and more, of scalars that look like dates; its text quotes the file
        mark = getattr(error, "problem_mark", None)
        where = f" near line {mark.line + 1}" if mark else ""
        raise CredentialsWrong(f"{path} is not YAML{where}", hint="check its quotes and indentation") from None


def _mapping(value, what):
    if value is not None and not isinstance(value, Mapping):
        raise CredentialsWrong(f"{what} is not a mapping", hint="write it as openstacksdk documents clouds.yaml")
    return value or {}


def _entry(entry, place):
    entry = _plain(_mapping(entry, place))
    return {**entry, "auth": _plain(_mapping(entry.get("auth"), f"auth in {place}"))}


def _plain(mapping):
    """Its keys with underscores, as openstacksdk reads them, and without those that are left empty."""
    return {str(key).replace("-", "_"): value for key, value in mapping.items() if value is not None}


def _laid_over(low, high):
    return {**low, **high, "auth": {**low["auth"], **high["auth"]}}


def _with_profile(entry, place, environment):
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


def _in_region(entry, wanted, place):
    """The entry with the values of the wanted one of its regions, or of the first."""
    regions = entry.get("regions")
    if not regions:
        return entry
    named = [one if isinstance(one, Mapping) else {"name": one} for one in regions] if isinstance(regions, list) else [{}]
    names = [one.get("name") for one in named]
    if not all(isinstance(name, str) for name in names):
        raise CredentialsWrong(f"regions in {place} is not a list of names", hint="regions: [NAME, ...]")
    name = wanted or entry.get("region_name") or names[0]
    if name not in names:
        raise CredentialsWrong(f"{place} has no region of the name that is set", hint=f"it has: {', '.join(names)}")
    values = _entry(named[names.index(name)].get("values"), f"a region of {place}")
    return {**_laid_over(entry, values), "region_name": name}
