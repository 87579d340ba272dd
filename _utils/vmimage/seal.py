"""Sealing a root: removing identity and residue, by patterns that a user can read and extend in an SLS."""

import os
import stat
from pathlib import PurePosixPath

from vmimage import inside
from vmimage.inhabit import take_back


def seal_root(root, remove=(), truncate=(), *, dry=False):
    """Remove or empty what the patterns name.

    :param Path root: the mounted directory
    :param remove: shell patterns of paths of the image; directories go whole
    :param truncate: shell patterns of files that stay, empty, with mode and owner
    :param bool dry: only tell
    :returns: ``{"removed": [...], "truncated": [...]}``, empty lists if the root is sealed in this already
    """
    gone = [path for pattern in remove for path in inside.match(root, pattern)]
    emptied = [
        path
        for pattern in truncate
        for path in inside.match(root, pattern)
        if not _is_within(path, gone) and _has_content(root, path)
    ]
    if not dry:
        gone += take_back(root)
        for path in gone:
            inside.remove(root, path)
        for path in emptied:
            inside.truncate(root, path)
    return {"removed": sorted(set(map(_printable, gone))), "truncated": sorted(set(map(_printable, emptied)))}


def _printable(path):
    """A path whose bytes are no UTF-8 with these bytes escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _is_within(path, tops):
    return not {path, *map(str, PurePosixPath(path).parents)}.isdisjoint(tops)


def _has_content(root, path):
    entry = inside.lstat(root, path)
    return entry is not None and stat.S_ISREG(entry.st_mode) and entry.st_size > 0
