"""Who logs in first on an instance: the default user of cloud-init, as the files of a root have it."""

import re
from contextlib import suppress
from typing import Any

import yaml

from vmimage.errors import RootHostile
from vmimage.root import files
from vmimage.system.aliases import StrPath

#: of an image in which nothing makes a user at the first boot
NOBODY = "none"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,31}")
_MAIN, _FURTHER = "/etc/cloud/cloud.cfg", "/etc/cloud/cloud.cfg.d/*.cfg"


def default_user(root: StrPath) -> str:
    """The name of the user that cloud-init makes and gives the instance's key; ``none`` where it makes none, empty where that is not
    clear: an image is no worse for a file of cloud-init's that cannot be read here.
    """
    if not files.exists(root, _MAIN):
        return NOBODY
    name, users = "", None
    for path in [_MAIN, *sorted(files.match(root, _FURTHER))]:  # the later file overrides the earlier
        settings = _settings(root, path)
        user = _mapping(_mapping(settings.get("system_info")).get("default_user")).get("name")
        name, users = user or name, settings.get("users", users)
    if isinstance(users, list) and "default" not in users:
        return NOBODY
    return name if isinstance(name, str) and _NAME.fullmatch(name) else ""


def _mapping(value: Any) -> dict[Any, Any]:
    """A value of YAML, of any type, if it is a mapping."""
    return value if isinstance(value, dict) else {}


def _settings(root: StrPath, path: str) -> dict[Any, Any]:
    with suppress(RootHostile, yaml.YAMLError, ValueError, RecursionError):
        return _mapping(yaml.safe_load(files.read_text(root, path, "")))
    return {}
