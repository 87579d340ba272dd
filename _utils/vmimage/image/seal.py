"""Sealing a root: removing identity and residue, by patterns that a user can read and extend in an SLS."""

import os
import re
import stat
from collections.abc import Container, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from vmimage.root import files
from vmimage.root.enter import remove_temporary_files
from vmimage.system.aliases import StrPath
from vmimage.system.network import PREFIX

#: states by which a path is written
_WRITES = re.compile(
    r"file\.(managed|copy|symlink|hardlink|recurse|serialize|decode|rename|append|prepend|keyvalue|blockreplace|touch|mknod)"
    r"|x509\..*_managed"
)
_ADDRESS = re.compile(rb"(?<![\d.])" + re.escape(PREFIX).encode() + rb"\d{1,3}(?![\d.])")
_LOOKED_AT = 1 << 16


def seal_root(
    root: StrPath, remove: Iterable[str] = (), truncate: Iterable[str] = (), *, own: Container[str] = (), dry: bool = False
) -> dict[str, list[str]]:
    """Remove or empty what the patterns name.

    :param root: the mounted directory
    :param remove: shell patterns of paths of the image; directories go whole
    :param truncate: shell patterns of files that stay, empty, with mode and owner
    :param own: paths that stay, for the variation itself has written them
    :param dry: only say what would be done
    :returns: ``{"removed": [...], "truncated": [...], "kept": [...]}``, empty lists if the root is sealed in this already
    """
    found = [path for pattern in remove for path in files.match(root, pattern)]
    gone = [path for path in found if path not in own]
    kept = set(found) - set(gone)
    emptied = [
        path
        for pattern in truncate
        for path in files.match(root, pattern)
        if not _is_within(path, gone) and _has_content(root, path)
    ]
    if not dry:
        gone += remove_temporary_files(root)
        for path in gone:
            files.remove(root, path)
        for path in emptied:
            files.truncate(root, path)
    return {
        "removed": sorted(set(map(_printable, gone))),
        "truncated": sorted(set(map(_printable, emptied))),
        "kept": sorted(map(_printable, kept)),
    }


def written_by(states: Iterable[Mapping[str, Any]]) -> set[str]:
    """The paths that states write, as far as their names say.

    :param states: as :func:`vmimage.variation.in_root.state_diff.note_states` notes them
    """
    found: set[str] = set()
    for noted in states:
        if _WRITES.fullmatch(noted["state"]):
            found |= {os.path.normpath(path) for path in (noted["name"], *noted.get("writes", ()))}
    return {path for path in found if path.startswith("/")}


def find_build_addresses(root: StrPath, paths: Iterable[str]) -> dict[str, str]:
    """Where an address of a build's private network stands, as a state may write its machine's own: no instance has it.

    :param paths: of what states have written, and /etc/hosts is looked at, too
    :returns: ``{path: address}``
    """
    found = {}
    for path in sorted({*paths, "/etc/hosts"}):
        if files.is_file(root, path):
            with files.opened(root, path, os.O_RDONLY | os.O_NONBLOCK) as descriptor:
                address = _ADDRESS.search(os.read(descriptor, _LOOKED_AT))
            if address:
                found[path] = address[0].decode()
    return found


def _printable(path: str) -> str:
    """A path whose bytes are no UTF-8 with these bytes escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _is_within(path: str, tops: Iterable[str]) -> bool:
    return not {path, *map(str, PurePosixPath(path).parents)}.isdisjoint(tops)


def _has_content(root: StrPath, path: str) -> bool:
    entry = files.lstat(root, path)
    return entry is not None and stat.S_ISREG(entry.st_mode) and entry.st_size > 0
