"""Which files of a root its packages brought, by dpkg's own lists.

This file is also copied into the root's ``/run`` beside ``driver``: it imports nothing of this project.
"""

import glob
import hashlib
import os
from collections.abc import Iterable

_INFO = "/var/lib/dpkg/info"


def find_brought(paths: Iterable[str], info: str = _INFO) -> dict[str, bool | None]:
    """What packages brought at some paths that is there now, directories left out.

    :param paths: absolute, of the root that this runs in
    :param info: the directory of dpkg's lists
    :returns: ``{path: how}`` of those that a package brought: True, if it is what the package brought, as far as its digests say; False, if
        it was written since; None for a configuration file: dpkg leaves it alone where it is there already
    """
    called = {name: path for path in paths if _is_there(path) for name in _names(path)}
    found: dict[str, bool | None] = {}
    for listed in glob.glob(f"{glob.escape(info)}/*.list") if called else ():
        brought = called.keys() & set(_lines(listed))
        if brought:
            settings = {line.split()[-1] for line in _lines(f"{listed[:-5]}.conffiles") if line.strip()}
            sums = {f"/{line[34:]}": line[:32] for line in _lines(f"{listed[:-5]}.md5sums")}
            for name in brought - settings:
                path = called[name]
                found[path] = found.get(path) or _is_as_brought(path, sums.get(name))
            found |= {called[name]: None for name in brought & settings if called[name] not in found}
    return found


def _is_there(path: str) -> bool:
    return os.path.lexists(path) and (os.path.islink(path) or not os.path.isdir(path))


def _is_as_brought(path: str, digest: str | None) -> bool:
    if os.path.islink(path) or not digest or not os.path.isfile(path):  # of these dpkg keeps no digest
        return True
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest() == digest


def _names(path: str) -> tuple[str, str, str]:
    """How packages may call a file: in a merged /usr the same has two names."""
    path = os.path.normpath(path).replace("//", "/")
    return path, path.removeprefix("/usr"), f"/usr{path}"


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().splitlines()
    except OSError:
        return []
