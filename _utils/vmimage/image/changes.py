"""What a build changed, brought into a copy of its base: only that is read and written, not the whole root.

The overlay's upper directory shows at which names the root may differ from the base.  What is there is read from the mounted
root: what an overlay notes in its own ways (whiteouts, opaque and renamed directories) need not be understood here.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

from vmimage.system.aliases import StrPath
from vmimage.system.attributes import read_flags, unprotect, write_flags
from vmimage.system.background import BackgroundTask
from vmimage.system.sparse import copy_data
from vmimage.system.trees import remove_tree

_BLOCK = 4096
_MOST_SHARES = 8  # processes that copy: each is forked, and the memory they read and write is the same
#: ``{(device, inode): [first path, names so far, names in all]}``
_Links = dict[tuple[int, int], list[Any]]
#: ``(source, target, facts of the source)``
_Content = tuple[str, str, os.stat_result]
_MARKS = {"trusted.overlay.opaque", "trusted.overlay.redirect"}


class HardLinkSplit(Exception):
    """A file of the base has several names, and only some of them were changed."""


class Change(NamedTuple):
    """A name at which the root differs from the base.

    :ivar name: with a leading slash; empty for the root directory
    :ivar facts: of lstat; None where nothing is any more
    :ivar is_merged: a directory that still shows what the base has there
    """

    name: str
    facts: os.stat_result | None
    is_merged: bool = False


def list_changes(upper: StrPath, lower: StrPath, root: StrPath) -> list[Change]:
    """Every :class:`Change`, parents before what is in them."""
    found, todo = [Change("", os.lstat(root), True)], [""]
    while todo:
        directory = todo.pop()
        for entry in _entries(_at(upper, directory)):
            name = f"{directory}/{entry.name}"
            facts = _lstat(_at(root, name))
            is_merged = _is_directory(facts) and _is_merged(entry, _lstat(_at(lower, name)))
            found.append(Change(name, facts, is_merged))
            if is_merged:
                todo.append(name)
            elif _is_directory(facts):
                found.extend(_all_below(root, name))
    return found


def _is_merged(entry: os.DirEntry[str], below: os.stat_result | None) -> bool:
    return (
        entry.is_dir(follow_symlinks=False)
        and _is_directory(below)
        and not _MARKS & set(os.listxattr(entry.path, follow_symlinks=False))
    )


def _all_below(root: StrPath, directory: str) -> Iterator[Change]:
    todo = [directory]  # not recursive: a tree may be deeper than Python's stack
    while todo:
        directory = todo.pop()
        for entry in _entries(_at(root, directory)):
            name = f"{directory}/{entry.name}"
            yield Change(name, entry.stat(follow_symlinks=False))
            if entry.is_dir(follow_symlinks=False):
                todo.append(name)


def _entries(path: str) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _at(top: StrPath, name: str) -> str:
    return f"{os.fspath(top)}{name}"


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_directory(facts: os.stat_result | None) -> bool:
    return facts is not None and stat.S_ISDIR(facts.st_mode)


def count_blocks(changes: Iterable[Change]) -> int:
    """How many blocks of 4 KiB the changed names take, at most: what they replace is not taken off."""
    return sum(1 if _is_directory(change.facts) else _blocks_of(change.facts) for change in changes if change.facts)


def _blocks_of(facts: os.stat_result) -> int:
    """Of a file with holes only what is between them: its size may be more than any disk's."""
    return min(-(-facts.st_size // _BLOCK), -(-facts.st_blocks * 512 // _BLOCK) or 1)


def apply_changes(changes: Sequence[Change], root: StrPath, target: StrPath) -> None:
    """Make a copy of the base what the root is.

    :param changes: of :func:`list_changes`
    :param root: mounted
    :param target: a copy of the base, mounted; changed in place
    :raises HardLinkSplit: if the copy would get two files where the root has a single file with two names
    """
    links: _Links = {}
    flags = {}
    contents: list[_Content] = []
    for change in changes:
        path = _at(target, change.name)
        if change.is_merged:
            unprotect(path, os.lstat(path))
            continue
        _remove(path)
        if _is_directory(change.facts):
            os.mkdir(path)
        elif change.facts and _make(_at(root, change.name), path, change.facts, links):
            contents.append((_at(root, change.name), path, change.facts))
    _copy_contents(contents)
    for first, names, wanted in links.values():
        if names != wanted:
            raise HardLinkSplit(first)
    for change in reversed(changes):  # last: what is made in a directory changes its times
        if change.facts and _is_directory(change.facts):
            _copy_facts(_at(root, change.name), _at(target, change.name), change.facts)
        if change.facts:
            flags[change.name] = read_flags(_at(root, change.name), change.facts)
    for name in filter(flags.get, flags):  # last of all, and what is in a directory before it: a protected file takes no change
        write_flags(_at(target, name), flags[name])


def _remove(path: str) -> None:
    facts = _lstat(path)
    if facts is None:
        return
    unprotect(path, facts)
    if not _is_directory(facts):
        os.unlink(path)
        return
    try:
        remove_tree(path)
    except PermissionError:  # something in there is protected
        for change in _all_below(path, ""):
            if change.facts:
                unprotect(_at(path, change.name), change.facts)
        remove_tree(path)


def _make(source: str, path: str, facts: os.stat_result, links: _Links) -> bool:
    """A file of any kind but a directory; returns whether it has a content to copy, which makes it where no other name needs it now."""
    if facts.st_nlink > 1:
        identity = facts.st_dev, facts.st_ino
        if identity in links:
            links[identity][1] += 1
            os.link(links[identity][0], path, follow_symlinks=False)
            return False
        links[identity] = [path, 1, facts.st_nlink]
    if stat.S_ISREG(facts.st_mode):
        if facts.st_nlink > 1:
            os.mknod(path, stat.S_IFREG | 0o600)
        return True
    if stat.S_ISLNK(facts.st_mode):
        os.symlink(os.readlink(source), path)
    else:
        os.mknod(path, facts.st_mode, facts.st_rdev)
    _copy_facts(source, path, facts)
    return False


def _copy_contents(files: Sequence[_Content]) -> None:
    """Of files that are empty or not there, by all cores: in processes, for between two files there is more Python than work of the kernel."""
    shares = max(1, min(len(os.sched_getaffinity(0)), _MOST_SHARES, len(files)))

    def copy(first: int) -> None:
        for content in files[first::shares]:
            _copy_content(*content)

    with ExitStack() as stack:
        others = [
            stack.enter_context(BackgroundTask(partial(copy, first), "copying what has changed")) for first in range(1, shares)
        ]
        copy(0)
        for other in others:
            other.finish()


def _copy_content(source: str, path: str, facts: os.stat_result) -> None:
    """The content of a file, then its owner, mode and all the rest."""
    ours = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        copy = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            copy_data(ours, copy)
        finally:
            os.close(copy)
    finally:
        os.close(ours)
    _copy_facts(source, path, facts)


def _copy_facts(source: str, path: str, facts: os.stat_result) -> None:
    """Owner, mode, attributes and times; capabilities are attributes that a change of owner takes away."""
    os.chown(path, facts.st_uid, facts.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(facts.st_mode):
        os.chmod(path, stat.S_IMODE(facts.st_mode))
    wanted = os.listxattr(source, follow_symlinks=False)
    for name in set(os.listxattr(path, follow_symlinks=False)) - set(wanted):
        os.removexattr(path, name, follow_symlinks=False)
    for name in wanted:
        os.setxattr(path, name, os.getxattr(source, name, follow_symlinks=False), follow_symlinks=False)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns), follow_symlinks=False)
