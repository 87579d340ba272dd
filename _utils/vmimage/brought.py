"""Which files of a root its packages brought, by dpkg's own lists.

This file is also copied into the root's ``/run`` beside ``salt_driver``: it imports nothing of this project.
"""

import glob
import hashlib
import os

_INFO = "/var/lib/dpkg/info"


def find_brought(paths, info=_INFO):
    """What packages brought at some paths.  Configuration files do not count: dpkg leaves one alone that is there already.

    :param paths: absolute, of the root that this runs in
    :param str info: the directory of dpkg's lists
    :returns: ``{path: whether what is there now is what the package brought}`` of those that a package brought
    """
    called = {name: path for path in paths for name in _names(path)}
    found = {}
    for listed in glob.glob(f"{glob.escape(info)}/*.list") if called else ():
        brought = called.keys() & set(_lines(listed))
        if brought:
            settings = {line.split()[0] for line in _lines(f"{listed[:-5]}.conffiles") if line.strip()}
            sums = {f"/{line[34:]}": line[:32] for line in _lines(f"{listed[:-5]}.md5sums")}
            found |= {called[name]: sums.get(name) == _sum(called[name]) for name in brought - settings}
    return found


def _names(path):
    """How packages may call a file: in a merged /usr the same has two names."""
    path = os.path.normpath(path).replace("//", "/")
    return path, path.removeprefix("/usr"), f"/usr{path}"


def _lines(path):
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().splitlines()
    except OSError:
        return []


def _sum(path):
    if not os.path.isfile(path) or os.path.islink(path):
        return ""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
