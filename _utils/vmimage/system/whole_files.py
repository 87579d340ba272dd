"""Files that are there whole or not at all, and safe on the disk."""

import fcntl
import glob
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from vmimage.system.aliases import StrPath


def sync(path: StrPath) -> None:
    """Wait until a file or directory is safe on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, text: str, *, lasts: bool = True, is_private: bool = False) -> None:
    """Replace a file at once: readers see the old file or the new file.

    :param lasts: wait until it is safe on the disk: a crash of the machine leaves no half
    :param is_private: its owner alone can read it
    """
    remove_left(path)
    descriptor, partial = _open_partial(path, 0o600 if is_private else 0o666)
    try:
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            if lasts:
                os.fsync(descriptor)
            os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _open_partial(path: Path, mode: int) -> tuple[int, Path]:
    """A new file beside another, locked: another writer of the same name has its own."""
    while True:
        partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if os.fstat(descriptor).st_nlink:  # else it was taken for left before it was locked
            return descriptor, partial
        os.close(descriptor)


def remove_left(path: Path) -> None:
    """Remove what killed writers of a file have left."""
    for left in path.parent.glob(f"{glob.escape(path.name)}.{'[0-9a-f]' * 8}.partial"):
        with suppress(OSError):
            descriptor = os.open(left, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody writes it now
                left.unlink()
            finally:
                os.close(descriptor)


def write_json(path: Path, data: object, *, lasts: bool = True, is_private: bool = False) -> None:
    """Replace a JSON file at once, as :func:`write_whole` does."""
    write_whole(path, json.dumps(data, indent=1, sort_keys=True) + "\n", lasts=lasts, is_private=is_private)


def read_json(path: Path, default: object = None) -> Any:
    """The content of a JSON file, which only its reader knows the type of; the default where there is no file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return default
