"""Looking into a root image: what files it has, and what they are."""

import hashlib
import os
import stat
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

from building import OWN_DIRECTORIES
from vmimage.root.mounts import mounted


@contextmanager
def looked_into(image):
    """A root image mounted read-only for the time of the block."""
    with tempfile.TemporaryDirectory(prefix="looking-", dir=next(iter(OWN_DIRECTORIES), None)) as point:
        with mounted(image, point, "ro"):
            yield Path(point)


def tree_of(root):
    """``{path: facts}`` of everything below a directory: type, mode, owner, content, link, device, extended attributes."""
    found = {}
    for directory, names, files in os.walk(root):
        for name in (*names, *files):
            path = os.path.join(directory, name)
            found[path[len(str(root)) :]] = _facts(path)
    return found


def _facts(path):
    entry = os.lstat(path)
    kind = stat.S_IFMT(entry.st_mode)
    content = None
    if stat.S_ISREG(entry.st_mode):
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    elif stat.S_ISLNK(entry.st_mode):
        content = os.readlink(path)
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        content = entry.st_rdev
    attributes = tuple(
        (key, os.getxattr(path, key, follow_symlinks=False)) for key in sorted(os.listxattr(path, follow_symlinks=False))
    )
    links = entry.st_nlink if stat.S_ISREG(entry.st_mode) else 0
    return kind, entry.st_mode & 0o7777, entry.st_uid, entry.st_gid, content, links, attributes


def disk_usage_bytes(root):
    """What du says of a mounted root, in bytes of 4 KiB blocks."""
    return int(
        subprocess.run(["du", "-sx", "--block-size=1", root], capture_output=True, text=True, check=True).stdout.split()[0]
    )
