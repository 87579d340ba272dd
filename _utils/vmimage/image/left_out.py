"""What mke2fs leaves out where it fills an image from a directory: the zeros of swap files, and flags of chattr."""

import os
import tempfile
from dataclasses import dataclass

from vmimage.root.mounts import mounted
from vmimage.system.aliases import StrPath
from vmimage.system.attributes import read_flags, write_flags
from vmimage.system.sparse import copy_data, is_swap


@dataclass(frozen=True)
class LeftOut:
    """What is to be added to an image.

    :ivar swap: ``{path below the root: bytes}`` of swap files
    :ivar flags: ``{path below the root: flags}``, contents before their directory
    """

    swap: dict[str, int]
    flags: dict[str, int]


def find_left_out(root: StrPath) -> LeftOut:
    """What mke2fs leaves out of a mounted root; what other file systems show there is no part of it."""
    top, todo = os.lstat(root), [""]
    swap: dict[str, int] = {}
    flags: dict[str, int] = {}
    while todo:
        directory = todo.pop()
        with os.scandir(f"{os.fspath(root)}/{directory}") as entries:
            for entry in entries:
                facts, path = entry.stat(follow_symlinks=False), f"{directory}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    if facts.st_dev != top.st_dev:
                        continue
                    todo.append(f"{path}/")
                elif entry.is_file(follow_symlinks=False) and is_swap(entry.path, facts):
                    swap[path] = facts.st_size
                if found := read_flags(entry.path, facts):
                    flags[path] = found
    return LeftOut(swap, dict(reversed(flags.items())))


def add_left_out(root: StrPath, image: StrPath, found: LeftOut) -> None:
    """Complete an image.  For a private namespace: mounts things.

    :param root: the mounted root from which the image was made
    :param image: with room for the swap files
    """
    with tempfile.TemporaryDirectory(prefix="vm_create-") as point, mounted(image, point):
        for path in found.swap:
            with open(os.path.join(root, path), "rb") as source, open(os.path.join(point, path), "r+b") as copy:
                copy_data(source.fileno(), copy.fileno())
        for path, flags in found.flags.items():
            write_flags(os.path.join(point, path), flags)
