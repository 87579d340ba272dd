"""What takes the room in a root: bytes by directory and by package, from a walk that never follows a link.

Counted as the root image has it: whole blocks of 4 KiB, a file of several names once.  What is small is folded together, so
that the result stays small however large the root is.
"""

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping
from typing import Any

from vmimage.apt.packages import list_packages
from vmimage.errors import RootHostile
from vmimage.root import files
from vmimage.system.aliases import StrPath

BLOCK = 4096
#: of a tree of directories: ``[name, bytes, [branches]]``
Branch = list[Any]
_LISTS = "/var/lib/dpkg/info"
_SHARED = "directories of several packages"
_DEPTH = 6
_PARTS = 300  # of the whole: what is smaller than such a part is folded into its directory's rest
_LARGE = 256  # blocks: a file that may be named by itself
_NAMES = 400  # packages, and directories of files that no package brought, that are named


def measure_contents(root: StrPath, packages: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Measure a mounted root.

    :param root: the directory; nothing else that is mounted in it is looked into
    :param packages: of :func:`vmimage.apt.packages.list_packages`, where it is at hand
    :returns: plain data: ``blocks`` and ``inodes`` in all; ``directories``, a tree of ``[name, bytes, [parts]]`` of directories and
        large files in which a part named "" is the rest; ``packages``, ``{name: bytes}``; ``unowned``, ``{directory: bytes}`` of files that no package brought
    """
    owners = _owners(root, list_packages(root) if packages is None else packages)
    inodes = 0
    by_package: dict[str, int] = {}
    by_directory: dict[str, int] = {}
    unowned: dict[str, int] = {}
    large: dict[str, int] = {}
    for path, count, blocks in _directories_with_files(root, owners, by_package, unowned, large):
        by_directory[path] = blocks
        inodes += count
    tree = _tree(by_directory, large)
    return {
        "blocks": tree[1] // BLOCK,
        "inodes": inodes,
        "directories": tree,
        "packages": _largest(by_package),
        "unowned": _largest(unowned),
    }


def _directories_with_files(
    root: StrPath, owners: Mapping[str, str], by_package: dict[str, int], unowned: dict[str, int], large: dict[str, int]
) -> Iterator[tuple[str, int, int]]:
    """Each directory as ``(path, inodes, blocks)`` with its own files; on the way these are counted for the package that owns them."""
    top = os.fspath(root)
    device, todo = os.lstat(top).st_dev, [""]
    seen: set[tuple[int, int]] = set()
    inodes_before = 1  # the root directory itself
    while todo:
        path = todo.pop()
        blocks, inodes, names = 0, inodes_before, 0
        inodes_before = 0
        with os.scandir(top + path) as entries:
            for entry in entries:
                facts = entry.stat(follow_symlinks=False)
                name = f"{path}/{entry.name}"
                names += (11 + len(os.fsencode(entry.name))) & ~3
                if stat.S_ISDIR(facts.st_mode):
                    inodes += 1
                    if facts.st_dev == device:
                        todo.append(name)
                        continue
                    taken = 1
                else:
                    if facts.st_nlink > 1:
                        if (facts.st_dev, facts.st_ino) in seen:
                            continue
                        seen.add((facts.st_dev, facts.st_ino))
                    inodes += 1
                    taken = _blocks_of(facts)
                if taken:
                    blocks += taken
                    if taken >= _LARGE:
                        large[name] = taken * BLOCK
                    owner = owners.get(name) or _owner_of_compiled(owners, path, entry.name)
                    if owner:
                        by_package[owner] = by_package.get(owner, 0) + taken * BLOCK
                    else:
                        place = "/".join(path.split("/")[:4]) or "/"
                        unowned[place] = unowned.get(place, 0) + taken * BLOCK
        own = max(1, -(-names // (BLOCK - 24)))
        owner = owners.get(path, _SHARED)
        by_package[owner] = by_package.get(owner, 0) + own * BLOCK
        yield path, inodes, blocks + own


def _blocks_of(facts: os.stat_result) -> int:
    """As mke2fs writes it: a short link is in its inode, a hole takes nothing."""
    if stat.S_ISLNK(facts.st_mode):
        return int(facts.st_size >= 60)
    full = -(-facts.st_size // BLOCK)
    return min(full, -(-facts.st_blocks // 8) or full)


def _owners(root: StrPath, packages: Mapping[str, str]) -> dict[str, str]:
    """``{path: package}`` of all that dpkg's lists name, where it really lies: in a merged /usr, /bin/sh is /usr/bin/sh."""
    links = {}
    for name in files.list_directory(root, "/"):
        facts = files.lstat(root, name)
        if facts and stat.S_ISLNK(facts.st_mode):
            target = os.path.normpath(f"/{os.readlink(f'{os.fspath(root)}/{name}')}")
            links[name] = target
    owners: dict[str, str] = {}
    for name in files.list_directory(root, _LISTS):
        if not name.endswith(".list"):
            continue
        package = name[:-5] if name[:-5] in packages else name[:-5].split(":")[0]
        text = ""
        with contextlib.suppress(
            RootHostile
        ):  # a package whose list is a trap owns nothing; a figure in a report is worth no failed build
            text = files.read_text(root, f"{_LISTS}/{name}", "", limit=files.LARGE)
        for path in text.split("\n"):
            first, slash, rest = path[1:].partition("/")
            if first in links:
                path = f"{links[first]}{slash}{rest}"
            if owners.setdefault(path, package) != package:
                owners[path] = _SHARED
    return owners


def _owner_of_compiled(owners: Mapping[str, str], directory: str, name: str) -> str | None:
    """The package of the module that Python compiled when the package was installed."""
    if not name.endswith(".pyc") or not directory.endswith("/__pycache__"):
        return None
    return owners.get(f"{directory[:-11]}{name.split('.', 1)[0]}.py")


def _largest(amounts: Mapping[str, int]) -> dict[str, int]:
    """The largest by name, the rest of them together under an empty name."""
    ordered = sorted(amounts.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(amount for _, amount in ordered[_NAMES:])
    return {**dict(ordered[:_NAMES]), **({"": rest} if rest else {})}


def _tree(by_directory: Mapping[str, int], large: Mapping[str, int]) -> Branch:
    """The directories as a tree of ``[name, bytes, parts]``, the small and the deep folded into their parents."""
    totals = {path: blocks * BLOCK for path, blocks in by_directory.items()}
    parts: dict[str, list[str]] = {}
    for path in sorted(by_directory, key=lambda path: path.count("/"), reverse=True):
        if path:
            above = path.rpartition("/")[0]
            totals[above] += totals[path]
            parts.setdefault(above, []).append(path)
    least = totals[""] // _PARTS
    for path, size in large.items():
        totals[path] = size
        parts.setdefault(path.rpartition("/")[0], []).append(path)

    def grown(path: str, depth: int) -> Branch:
        shown = [below for below in parts.get(path, ()) if totals[below] >= least] if depth else []
        branches = sorted((grown(below, depth - 1) for below in shown), key=lambda part: (-part[1], part[0]))
        rest = totals[path] - sum(part[1] for part in branches)
        return [path.rpartition("/")[2] or "/", totals[path], [*branches, *([["", rest, []]] if branches and rest else [])]]

    return grown("", _DEPTH)
