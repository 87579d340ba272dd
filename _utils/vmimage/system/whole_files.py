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


def write_json(path: Path, data: object, *, lasts: bool = True) -> None:
    """Replace a JSON file at once: readers see the old file or the new file.

    :param lasts: wait until it is safe on the disk: a crash of the machine leaves no half
    """
    partial = path.with_name(f"{path.name}.partial")
    with open(partial, "w", encoding="utf-8") as file:
        json.dump(data, file, indent=1, sort_keys=True, ensure_ascii=True)
        file.write("\n")
        if lasts:
            file.flush()
            os.fsync(file.fileno())
    os.replace(partial, path)


def read_json(path: Path, default: object = None) -> Any:
    """The content of a JSON file, which only its reader knows the type of; the default where there is no file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return default
