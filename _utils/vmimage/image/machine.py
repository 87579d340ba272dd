"""What a machine of an image starts, and who its users are, as the files of the root say it.

Which ports a service opens by itself no file says; of sockets that systemd opens the ports are known.  A boot shows the others.
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from vmimage.errors import VmImageError, printable
from vmimage.root import files
from vmimage.system.aliases import StrPath

_OWN = "/etc/systemd/system"
#: where a unit's file may be; the first that has it wins
_PLACES = (_OWN, "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
_LISTENS = re.compile(r"^[ \t]*Listen(Stream|Datagram)[ \t]*=[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_PORT = re.compile(r"(?:\S+:)?(\d{1,5})")
_USER = re.compile(r"([^:]+):[^:]*:(\d{1,10}):[^:]*:[^:]*:([^:]*):([^:]*)")
_FIRST_OF_PEOPLE = 1000  # user id: those below are of packages
_MOST = 1000  # of a kind: no machine has more, and a manifest is no place for what has


def describe_machine(root: StrPath, users_before: Iterable[str] = ()) -> dict[str, Any]:
    """What is known of a machine of an image before it boots.

    :param root: the mounted directory
    :param users_before: names of users that are left out: those of the base
    :returns: plain data: ``enabled`` and ``masked``, names of units; ``users``, each with ``name``, ``uid``, ``home`` and ``shell``;
        ``listens``, of each port of an enabled socket ``unit``, ``port`` and ``protocol``
    """
    masked = {name for name in files.list_directory(root, _OWN) if _is_masked(root, name)}
    wanted = {
        path.rpartition("/")[2] for kind in ("wants", "requires", "upholds") for path in files.match(root, f"{_OWN}/*.{kind}/*")
    }
    enabled = sorted(wanted - masked)
    listens = [port for unit in enabled if unit.endswith(".socket") for port in _ports_of(root, unit)]
    before = set(users_before)
    return {
        "enabled": [printable(name) for name in enabled[:_MOST]],
        "masked": sorted(map(printable, masked))[:_MOST],
        "users": [user for user in list_users(root) if user["name"] not in before][:_MOST],
        "listens": listens[:_MOST],
    }


def list_users(root: StrPath) -> list[dict[str, Any]]:
    """The users of a root, in the order of their file; lines that are none are left out."""
    found = []
    for line in files.read_text(root, "/etc/passwd", "", limit=files.LARGE).splitlines():
        if user := _USER.fullmatch(line):
            name, number, home, shell = user.groups()
            found.append({"name": printable(name), "uid": int(number), "home": printable(home), "shell": printable(shell)})
    return found


def users_before(root: StrPath, manifest: Mapping[str, Any] | None) -> set[str]:
    """The names of the users of a base.

    :param root: what a build starts from
    :param manifest: of that, where it is the last root image, which has the users of its variation, too
    """
    users = list_users(root)
    names = {user["name"] for user in users}
    if not manifest:
        return names
    added = (manifest.get("machine") or {}).get("users")
    if added is None:  # of a build that did not note them
        added = [user for user in users if user["uid"] >= _FIRST_OF_PEOPLE]
    return names - {user["name"] for user in added}


def _is_masked(root: StrPath, name: str) -> bool:
    facts = files.lstat(root, f"{_OWN}/{name}")
    return "." in name and facts is not None and files.read_link(root, f"{_OWN}/{name}") == "/dev/null"


def _ports_of(root: StrPath, unit: str) -> list[dict[str, Any]]:
    """The ports of a unit's file and of the files that add to it; an empty value takes back what was before."""
    found: list[dict[str, Any]] = []
    added = [f"{place}/{unit}.d/{name}" for place in _PLACES for name in files.list_directory(root, f"{place}/{unit}.d")]
    for path in [*[f"{place}/{unit}" for place in _PLACES if files.exists(root, f"{place}/{unit}")][:1], *added]:
        with suppress(VmImageError):  # a figure in a report is worth no failed build
            for kind, value in _LISTENS.findall(files.read_text(root, path, "")):
                found = found if value else []
                if port := _PORT.fullmatch(value):
                    protocol = "tcp" if kind == "Stream" else "udp"
                    found.append({"unit": printable(unit), "port": int(port[1]), "protocol": protocol})
    return found
