"""The root image as a copy of the base with the changes in it: for most builds much less work than writing every file.

The base is prepared as a file system that ends at its content, so its copy, grown by what was added, does too.  The copy is
made while the variation is applied; when the root is sealed only the changes are left to write.
"""

import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from vmimage.errors import NotReady
from vmimage.image import ext4
from vmimage.image.changes import HardLinkSplit, apply_changes, count_blocks, list_changes
from vmimage.image.ext4 import BLOCK, Content
from vmimage.root.mounts import mounted
from vmimage.system.aliases import StrPath
from vmimage.system.shell import begun, run

_SLACK_BLOCKS = 4096  # for directories that grow, extents, group descriptors; cut off again
# behind what the variation waits for: packages and lists that are read
_COPY = ["nice", "-n", "10", "cp", "--sparse=always", "--reflink=auto", "--no-preserve=all"]


class CannotPatch(Exception):
    """The changes do not go well into a copy of the base: all files are to be written."""


def begin_copy(base_image: StrPath, target: Path) -> Callable[[], None]:
    """Copy the base's image while something else is done.

    :returns: a callable that waits for the end
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.touch(mode=0o600)  # passwords of the root are in it
    return begun([*_COPY, base_image, target])


def pack_changes(
    finish_copy: Callable[[], object],
    opened: tuple[StrPath, StrPath, StrPath],
    target: Path,
    point: Path,
    *,
    label: str = "",
    keeps_journal: bool = False,
) -> Content:
    """Make the root image of a copy of the base.  In a private namespace: mounts things.

    :param finish_copy: of :func:`begin_copy`, of a base that is prepared: without journal, and ending at its content
    :param opened: ``(upper, lower, root)`` of the overlay
    :param target: the image to make
    :param point: a directory to mount it on
    :param label: of the file system
    :param keeps_journal: the base is a root image of ours, and its journal is fit for it
    :raises CannotPatch: then the target is of no use
    """
    upper, lower, root = opened
    changes = list_changes(upper, lower, root)
    added = count_blocks(changes)
    finish_copy()
    before = ext4.superblock(target)
    blocks = int(before["Block count"])
    grown = blocks + added + added // 64 + _SLACK_BLOCKS + (ext4.journal_mib(Content(blocks + added, 0)) << 20) // BLOCK
    has_journal = "has_journal" in before["Filesystem features"]
    if has_journal and not keeps_journal or _inodes_short(before, grown, len(changes)):
        raise CannotPatch
    run(["resize2fs", target, grown], syncs=False)
    _reserve(target)
    point.mkdir(exist_ok=True)
    try:
        with mounted(target, point, "noatime", "nobarrier"):  # when it is whole the file is synced, beside its digest
            apply_changes(changes, root, point)
            facts = os.statvfs(point)
    except HardLinkSplit as split:
        raise CannotPatch from split
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise CannotPatch from error
    content = Content(facts.f_blocks - facts.f_bfree, facts.f_files - facts.f_ffree)
    if facts.f_bfree > facts.f_blocks // 8 + 2 * _SLACK_BLOCKS:
        raise CannotPatch  # so much was removed that cutting would take longer, and leave more
    options = [*([] if has_journal else ["-J", f"size={ext4.journal_mib(content)}"]), *(["-L", label] if label else [])]
    if options:
        run(["tune2fs", *options, target], syncs=False)
    return content


def _reserve(image: Path) -> None:
    """Have the disk hold all of the image: a disk that runs full under a mounted image loses data, and the writing program gets no error."""
    descriptor = os.open(image, os.O_WRONLY)
    try:
        os.posix_fallocate(descriptor, 0, os.fstat(descriptor).st_size)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return  # this file system cannot reserve
        room = f"{image.parent} has no room for the root image"
        raise NotReady(room, hint="free some room, or set ami.output to another disk") from error
    finally:
        os.close(descriptor)


def _inodes_short(before: Mapping[str, str], grown: int, more: int) -> bool:
    groups = -(-grown // int(before["Blocks per group"]))
    return groups * int(before["Inodes per group"]) - int(before["Inode count"]) + int(before["Free inodes"]) < more
