"""Directories of any depth: removed and walked without recursion, for programs in a root may make it deeper than Python's stack.

Removal goes from directory to directory by descriptors, so that neither the depth nor the length of a path can stop it.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vmimage.errors import ImageUnsound
from vmimage.system.aliases import StrPath

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SHOWN = 120  # characters of a path that is too long


def remove_tree(path: StrPath, *, dir_fd: int | None = None, ignore_errors: bool = False) -> None:
    """Remove a directory with all that is in it, never through a link and never into what is mounted there.

    :param dir_fd: of the directory that a relative path starts from
    :param ignore_errors: leave what cannot be removed; also where there is nothing
    """
    try:
        _empty(path, dir_fd, ignore_errors)
        os.rmdir(path, dir_fd=dir_fd)
    except OSError:
        if not ignore_errors:
            raise


def _empty(path: StrPath, dir_fd: int | None, ignore_errors: bool) -> None:
    """Two descriptors at most are open: the way back up is ``..``, checked to be the directory that we came from."""
    here = os.open(path, _DIRECTORY, dir_fd=dir_fd)
    try:
        device = os.fstat(here).st_dev
        # from the top: (name in the directory above, identity of that directory, its directories still to do)
        way: list[tuple[str, tuple[int, int], list[str]]] = []
        todo = _remove_files(here, ignore_errors)
        while todo or way:
            if todo:
                name = todo.pop()
                try:
                    below = os.open(name, _DIRECTORY, dir_fd=here)
                    if os.fstat(below).st_dev != device:
                        os.close(below)
                        raise OSError(errno.EBUSY, "another file system is mounted there", name)
                except OSError:
                    if not ignore_errors:
                        raise
                    continue
                way.append((name, _identity(here), todo))
                os.close(here)
                here = below
                todo = _remove_files(here, ignore_errors)
                continue
            name, identity, todo = way.pop()
            above = os.open("..", _DIRECTORY, dir_fd=here)
            os.close(here)
            here = above
            if _identity(here) != identity:
                raise OSError(errno.ESTALE, "a directory was moved while it was removed", name)
            _tried(os.rmdir, name, here, ignore_errors)
    finally:
        os.close(here)


def _remove_files(directory: int, ignore_errors: bool) -> list[str]:
    """Remove all but directories; returns the names of these."""
    with os.scandir(directory) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in found:
        if not is_directory:
            _tried(os.unlink, name, directory, ignore_errors)
    return [name for name, is_directory in found if is_directory]


def _tried(remove: Callable[..., None], name: str, directory: int, ignore_errors: bool) -> None:
    try:
        remove(name, dir_fd=directory)
    except FileNotFoundError:
        pass
    except OSError:
        if not ignore_errors:
            raise


def _identity(descriptor: int) -> tuple[int, int]:
    facts = os.fstat(descriptor)
    return facts.st_dev, facts.st_ino


def remove_entry(path: StrPath) -> None:
    """Remove a file, a link itself, or a directory with all that is in it."""
    if stat.S_ISDIR(os.lstat(path).st_mode):
        remove_tree(path)
    else:
        os.unlink(path)


def entries_below(top: StrPath, enters: Callable[[os.DirEntry[str]], bool] = lambda entry: True) -> Iterator[os.DirEntry[str]]:
    """Every entry below a directory, parents before what is in them; links are not followed.

    :param enters: called with the entry of a directory: whether what is in it is wanted
    """
    todo = [os.fspath(top)]
    while todo:
        with os.scandir(todo.pop()) as entries:
            found = list(entries)
        for entry in found:
            yield entry
            if entry.is_dir(follow_symlinks=False) and enters(entry):
                todo.append(entry.path)


@contextmanager
def fitting_paths(*tops: StrPath) -> Iterator[None]:
    """For work on a root: a path in it that is longer than Linux takes in one call is an error that names its top.

    :param tops: directories in which the root is worked on; the message leaves them out
    :raises ImageUnsound:
    """
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        path = os.fsdecode(error.filename or "")
        for top in sorted((os.fspath(top) for top in tops), key=len, reverse=True):
            path = path.removeprefix(f"{top}/")
        shown = os.fsencode(path.strip("/"))[:_SHOWN].decode("utf-8", "backslashreplace")
        raise ImageUnsound(
            f"the root has directories too deep to be packed, with paths of more than 4,096 bytes: /{shown}...",
            hint="let the variation remove them, or make them less deep",
        ) from error
