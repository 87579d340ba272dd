"""Reading and writing files of an image from the host, without ever leaving the image.

An image may carry ``/etc/resolv.conf`` or ``/boot/vmlinuz`` as a symlink to anywhere.  Every path here is resolved by the
kernel with the image's root as ``/`` (openat2, RESOLVE_IN_ROOT), so a link leads to a file of the image or to nothing.
"""

import contextlib
import errno
import fnmatch
import os
import stat
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path

from vmimage.errors import RootHostile
from vmimage.system import syscalls
from vmimage.system.aliases import StrPath
from vmimage.system.sparse import copy_data
from vmimage.system.trees import remove_tree

_CONFINED = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
_DIRECTORY = os.O_PATH | os.O_DIRECTORY
_TRIES = 1000
#: how the kernel refuses to open what is no file: a socket, a device where none is allowed, a directory to write to
_NO_FILE = (errno.ENXIO, errno.ENODEV, errno.EACCES, errno.EISDIR)
#: bytes: what a configuration file may have, and what a list of packages or of their files may
SMALL, LARGE = 1 << 20, 256 << 20


@contextmanager
def opened(root: StrPath, path: StrPath, flags: int = os.O_RDONLY, mode: int = 0o644) -> Iterator[int]:
    """A file descriptor of a file of the image."""
    top = os.open(root, _DIRECTORY)
    try:
        descriptor = _open_confined(top, path, flags, mode if flags & os.O_CREAT else 0)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EXDEV):
            raise RootHostile(f"{path} of the image leads in circles or outside of it") from error
        if error.errno in _NO_FILE:
            raise RootHostile(
                f"{path} of the image is no regular file", hint=f"make it one, or remove it: {error.strerror}"
            ) from error
        raise
    finally:
        os.close(top)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _opened_to_change(root: StrPath, directory: str) -> Iterator[int]:
    """A descriptor of a directory of the image in which something is to be made.

    :raises RootHostile: where none is
    """
    try:
        opening = contextlib.ExitStack()
        descriptor = opening.enter_context(opened(root, directory, _DIRECTORY))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RootHostile(f"{directory or '/'} of the image is no directory", hint="make it one, or remove it") from error
    with opening:
        yield descriptor


def _open_confined(top: int, path: StrPath, flags: int, mode: int = 0, more: int = 0) -> int:
    """openat2; again where a rename or mount anywhere on the machine came between: a ``..`` on the way is refused then."""
    for _ in range(_TRIES):
        with contextlib.suppress(BlockingIOError):
            return syscalls.openat2(top, _relative(path), flags, mode, _CONFINED | more)
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), path)


def _relative(path: StrPath) -> str:
    return os.fspath(path).strip("/") or "."


def _place(path: StrPath) -> tuple[str, str]:
    """``(directory, name)`` of an entry.

    :raises RootHostile: for ``/`` and ``..``: the kernel confines how a directory is found, not what is done to a name in it
    """
    directory, name = os.path.split("/" + _relative(path))
    if name in (".", ".."):
        raise RootHostile(f"{path} names no entry of the image")
    return directory, name


def read_text(root: StrPath, path: StrPath, default: str | None = None, *, limit: int = SMALL) -> str:
    """The text of a regular file, or the default where there is none.

    :param limit: of its size in bytes: an image may hold files larger than the memory, holes and all
    :raises FileNotFoundError: where there is none and no default is given
    :raises RootHostile: if it is larger, or no regular file
    """
    try:
        with opened(root, path, os.O_RDONLY | os.O_NONBLOCK) as descriptor:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode):
                raise RootHostile(f"{path} of the image is no regular file")
            if facts.st_size > limit:
                raise RootHostile(
                    f"{path} of the image has {facts.st_size} bytes; no more than {limit} of it are read",
                    hint="mend or remove it",
                )
            with os.fdopen(os.dup(descriptor), encoding="utf-8", errors="replace") as file:
                return file.read(limit)
    except (FileNotFoundError, NotADirectoryError):
        if default is None:
            raise
        return default


def write_text(root: StrPath, path: StrPath, text: str, mode: int = 0o644) -> None:
    """Replace a file by a new file: never writes through a link or into a hard link that another name shares."""
    directory, name = _place(path)
    new = f".{name}.partial"
    remove(
        root, f"{directory}/{new}"
    )  # of a write that was killed, or a trap: a fifo would block, a hard link share what we write
    with _opened_to_change(root, directory) as parent:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode, dir_fd=parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
        try:
            os.rename(new, name, src_dir_fd=parent, dst_dir_fd=parent)
        except IsADirectoryError as error:
            os.unlink(new, dir_fd=parent)
            raise RootHostile(f"{path} of the image is a directory", hint="make it a file, or remove it") from error


def make_directory(root: StrPath, path: StrPath, mode: int = 0o755) -> None:
    """Make a directory and those above it, following the image's own links only."""
    so_far = ""
    for name in filter(None, _relative(path).split("/")):
        with _opened_to_change(root, so_far) as parent:
            if not _entry(parent, name):
                os.mkdir(name, mode, dir_fd=parent)
        so_far = f"{so_far}/{name}"


def make_link(root: StrPath, path: StrPath, target: str) -> None:
    """Make a symbolic link of the image; the target is text, and is not looked at."""
    directory, name = _place(path)
    with _opened_to_change(root, directory) as parent:
        os.symlink(target, name, dir_fd=parent)


def lstat(root: StrPath, path: StrPath) -> os.stat_result | None:
    """The stat of an entry itself (a link is not followed), or None where there is none."""
    directory, name = os.path.split("/" + _relative(path))
    try:
        with opened(root, path if name in (".", "..") else directory, _DIRECTORY) as found:
            return os.fstat(found) if name in (".", "..") else _entry(found, name)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _entry(parent: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def exists(root: StrPath, path: StrPath) -> bool:
    """Whether there is such an entry, were it a dangling link."""
    return lstat(root, path) is not None


def is_file(root: StrPath, path: StrPath) -> bool:
    """Whether the path leads, inside the image, to a regular file."""
    try:
        with opened(root, path, os.O_PATH) as descriptor:
            return stat.S_ISREG(os.fstat(descriptor).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def list_directory(root: StrPath, path: StrPath) -> list[str]:
    """The sorted names in a directory, none where it is missing."""
    return [name for name, _ in _entries(root, path)]


def _entries(root: StrPath, directory: StrPath) -> list[tuple[str, os.stat_result]]:
    """What is in a directory, as ``(name, lstat)`` by name; nothing where it is missing."""
    try:
        with opened(root, directory, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
            names = sorted(os.listdir(descriptor))
            return [(name, facts) for name in names if (facts := _entry(descriptor, name))]
    except (FileNotFoundError, NotADirectoryError, RootHostile):  # a link that leads in circles is no directory
        return []


def read_link(root: StrPath, path: StrPath) -> str | None:
    """What a link of the image says, or None where there is none."""
    try:
        with opened(root, os.path.dirname(path), os.O_PATH | os.O_DIRECTORY) as parent:
            return os.readlink(os.path.basename(path), dir_fd=parent)
    except OSError:
        return None


def files_below(root: StrPath, directory: str, largest: int, spared: Container[str] = ()) -> Iterator[str]:
    """The paths of regular files below a directory that are not empty.

    :param largest: bytes; larger files are left out
    :param spared: paths that are left out with all below
    """
    todo = [directory]
    while todo:
        directory = todo.pop()
        for name, facts in _entries(root, directory):
            path = f"{directory}/{name}"
            if path in spared:
                continue
            if stat.S_ISDIR(facts.st_mode):
                todo.append(path)
            elif stat.S_ISREG(facts.st_mode) and 0 < facts.st_size <= largest:
                yield path


def match(root: StrPath, pattern: str) -> list[str]:
    """The paths of the image that a shell pattern names, sorted; ``**`` stands for any depth of directories."""
    found = {""}
    for part in filter(None, _relative(pattern).split("/")):
        if part == "**":
            found |= {deep for path in found for deep in _directories_below(root, path)}
        elif any(character in part for character in "*?["):
            found = {f"{path}/{name}" for path in found for name in list_directory(root, path) if fnmatch.fnmatchcase(name, part)}
        else:
            found = {f"{path}/{part}" for path in found if exists(root, f"{path}/{part}")}
    return sorted(found)


def _directories_below(root: StrPath, path: str) -> Iterator[str]:
    todo = [path]
    while todo:
        path = todo.pop()
        for name, facts in _entries(root, path):
            below = f"{path}/{name}"
            if stat.S_ISDIR(facts.st_mode):
                yield below
                todo.append(below)


def remove(root: StrPath, path: StrPath) -> None:
    """Remove a file, a link itself, or a whole directory of the image."""
    directory, name = _place(path)
    facts = lstat(root, path)
    if facts is None:
        return
    with opened(root, directory, _DIRECTORY) as parent:
        if stat.S_ISDIR(facts.st_mode):
            remove_tree(name, dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)


def truncate(root: StrPath, path: StrPath) -> None:
    """Empty a regular file of the image, keeping its mode and owner."""
    with opened(root, path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK) as descriptor:
        os.ftruncate(descriptor, 0)


def overwrite(root: StrPath, path: StrPath, content: bytes) -> None:
    """Give a regular file of the image another content, keeping its mode and owner."""
    with opened(root, path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK) as descriptor:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, content)


def copy_out(root: StrPath, path: StrPath, target: Path) -> int:
    """Copy a regular file of the image to a new host file, holes and all; returns its size in bytes."""
    with opened(root, path, os.O_RDONLY | os.O_NONBLOCK) as descriptor:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise RootHostile(f"{path} of the image is no regular file")
        with os.fdopen(os.dup(descriptor), "rb") as source, open(target, "xb", opener=_private) as copy:
            copy_data(source.fileno(), copy.fileno())
            return os.fstat(copy.fileno()).st_size


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def own_directory(root: StrPath, path: StrPath) -> str:
    """The host path of a real directory of the image, fit to mount something on.

    :raises RootHostile: if a link stands anywhere on the way: a mount would follow it to the host
    """
    path = os.path.normpath(f"/{_relative(path)}")  # a .. would lead out a caller that mounts by the host's path
    top = os.open(root, _DIRECTORY)
    try:
        os.close(_open_confined(top, path, _DIRECTORY, more=syscalls.RESOLVE_NO_SYMLINKS))
    except OSError as error:
        if error.errno == errno.ENOENT:
            make_directory(root, path)
            return os.path.join(root, _relative(path))
        raise RootHostile(
            f"/{_relative(path)} of the image is not a plain directory",
            hint="repair the base: it must be a directory, not a link",
        ) from error
    finally:
        os.close(top)
    return os.path.join(root, _relative(path))
