"""Files that are there whole or not at all, and safe on the disk."""

import json
import os
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
    partial = path.with_name(f"{path.name}.partial")
    if is_private:
        partial.unlink(missing_ok=True)
    flags, mode = (os.O_EXCL, 0o600) if is_private else (os.O_TRUNC, 0o666)
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | flags, mode), "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
        if lasts:
            file.flush()
            os.fsync(file.fileno())
    os.replace(partial, path)


def write_json(path: Path, data: object, *, lasts: bool = True, is_private: bool = False) -> None:
    """Replace a JSON file at once, as :func:`write_whole` does."""
    write_whole(path, json.dumps(data, indent=1, sort_keys=True) + "\n", lasts=lasts, is_private=is_private)


def read_json(path: Path, default: object = None) -> Any:
    """The content of a JSON file, which only its reader knows the type of; the default where there is no file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return default
