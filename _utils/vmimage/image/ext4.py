"""The root image: an ext4 file system that ends at its content.

It is written from the files of the root (``mke2fs -d``) instead of being truncated: `resize2fs -M` cannot move what lies
scattered, and leaves inode tables and a journal made for a larger disk.  Measured on 1.05 GiB of content: truncated 1818 MiB,
packed 1096 MiB.  It keeps what a first boot needs to grow: room for group descriptors (resize_inode) and 4096 inodes a group, or more.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vmimage.errors import CommandFailed, ImageUnsound
from vmimage.image.left_out import add_left_out, find_left_out
from vmimage.system.aliases import StrPath
from vmimage.system.shell import run

BLOCK = 4096
_GROUP_BLOCKS = 32768
_INODES_PER_GROUP = 8192  # as mke2fs chooses for 16 KiB an inode; groups added by growth get as many
_INODE_BYTES = 256
_GROWTH_LIMIT_BLOCKS = 1 << 28  # 1 TiB: descriptor blocks are reserved for growth up to this
_LEAST_FREE = 256  # blocks: where a file is cut in two on its way, its extents may need another
_TINY_GROUP = 128  # blocks
_MOST_HELD_BACK = 4096  # blocks
_TRIES = 4


@dataclass(frozen=True)
class Content:
    """What a root holds.

    :ivar blocks: of 4 KiB, that its files and directories take
    :ivar inodes: files, directories, links and all the rest
    """

    blocks: int
    inodes: int


def measure_content(root: StrPath) -> Content:
    """What a directory tree on a single file system holds, each hard link counted once."""
    top = os.stat(root)
    blocks, inodes, todo = 0, 1, [os.fspath(root)]
    seen: set[tuple[int, int]] = set()
    while todo:
        with os.scandir(todo.pop()) as entries:
            names = 0
            for entry in entries:
                facts = entry.stat(follow_symlinks=False)
                names += (8 + len(os.fsencode(entry.name)) + 3) & ~3
                if facts.st_dev != top.st_dev and entry.is_dir(follow_symlinks=False):
                    inodes += 1
                    blocks += 1
                    continue
                if facts.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                    if (facts.st_dev, facts.st_ino) in seen:
                        continue
                    seen.add((facts.st_dev, facts.st_ino))
                inodes += 1
                if entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)
                elif entry.is_symlink():
                    blocks += facts.st_size >= 60
                else:
                    blocks += min(-(-facts.st_size // BLOCK), -(-facts.st_blocks * 512 // BLOCK) or -(-facts.st_size // BLOCK))
            blocks += max(1, -(-names // (BLOCK - 24)))
    return Content(blocks, inodes)


def journal_mib(content: Content) -> int:
    """The size of the journal, a quarter to a half of mke2fs's own choice: it is part of every download and of every instance."""
    return 4 if content.blocks * BLOCK < 512 << 20 else 8


def plan_size(content: Content, journal: bool = True, spare_inodes: int = 64) -> tuple[int, int]:
    """How many blocks to make the file system for its content, before it is shrunk; and how many inodes.

    :param journal: whether it gets a journal
    :param spare_inodes: for files that will be added
    :returns: ``(blocks, inodes)``
    """
    inodes_wanted = content.inodes + content.inodes // 50 + spare_inodes
    journal_blocks = (journal_mib(content) << 20) // BLOCK if journal else 0
    blocks = content.blocks + journal_blocks
    groups = 1
    for _ in range(8):  # metadata grows with groups, groups with metadata: settles at once
        inodes = max(inodes_wanted, groups * _INODES_PER_GROUP // 2)
        metadata = -(-inodes * _INODE_BYTES // BLOCK) + groups * 3 + 1024
        groups = -(-(blocks + metadata) // _GROUP_BLOCKS)
    least = 4 * journal_blocks  # mke2fs refuses a journal that fills half of a file system
    return max(blocks + metadata + content.blocks // 100, least), inodes


def pack_image(
    root: StrPath, target: Path, *, label: str = "", uuid: str = "", journal: bool = True, spare_inodes: int = 64
) -> Content:
    """Write a new ext4 image with the files of a directory.  For a private namespace: mounts things.

    :param root: the mounted root; its modes, owners, hard links of files, ACLs, xattrs, capabilities, flags of chattr and holes are kept
    :param target: the image to make
    :param label: of the file system
    :param uuid: of the file system; empty for a new UUID
    :param journal: whether it gets a journal
    :param spare_inodes: for files that will be added
    """
    content = measure_content(root)
    blocks, inodes = plan_size(content, journal, spare_inodes)
    argv = _mke2fs(label, uuid, journal_mib(content) if journal else 0)
    for attempt in range(_TRIES):
        target.unlink(missing_ok=True)
        target.touch(mode=0o600)  # passwords of the root are in it
        try:
            run([*argv, "-N", inodes, "-d", root, target, blocks], syncs=False)
            break
        except CommandFailed as error:
            if not re.search(r"(?i)could not allocate|no space|not enough", error.output) or attempt == _TRIES - 1:
                raise
            blocks, inodes = blocks + blocks // 20, inodes + inodes // 20  # the estimate was short: what mke2fs needs decides
    left_out = find_left_out(root)
    if left_out.swap or left_out.flags:
        grow_image(target, sum(left_out.swap.values()))
        add_left_out(root, target, left_out)
    return content


def grow_image(image: Path, size: int) -> None:
    """Make an image and its file system larger by so many bytes."""
    os.truncate(image, -(-(image.stat().st_size + size) // BLOCK) * BLOCK)
    if size:
        run(["resize2fs", image], syncs=False)


def _mke2fs(label: str, uuid: str, journal: int) -> list[str | int]:
    argv: list[str | int] = ["mke2fs", "-q", "-F", "-t", "ext4", "-b", BLOCK, "-I", _INODE_BYTES, "-m", "1"]
    argv += ["-J", f"size={journal}", "-O", "resize_inode"] if journal else ["-O", "resize_inode,^has_journal"]
    argv += ["-E", f"resize={_GROWTH_LIMIT_BLOCKS},lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0"]
    argv += ["-L", label] if label else []
    return argv + (["-U", uuid] if uuid else [])


def shrink_image(image: Path, headroom_mib: int = 0) -> int:
    """Cut the file system to its content and check it.

    :param image: changed in place; its file ends where the file system ends
    :param headroom_mib: MiB that can be written before it has grown: a first boot must
    :returns: size in bytes
    :raises ImageUnsound: if e2fsck finds what it should not
    """
    cut_image(image)
    least = _least_blocks(superblock(image), max((headroom_mib << 20) // BLOCK, _LEAST_FREE))
    run(["resize2fs", "-f", image, least], syncs=False)
    os.truncate(image, block_count(image) * BLOCK)
    check_image(image)
    return image.stat().st_size


def _least_blocks(facts: Mapping[str, str], headroom: int) -> int:
    """To how many blocks a file system can be cut: -M computes the worst case, and may leave tens of MiB more."""
    count, free, a_group = (int(facts[key]) for key in ("Block count", "Free blocks", "Blocks per group"))
    used_inodes = int(facts["Inode count"]) - int(facts["Free inodes"])
    tables = int(facts["Inode blocks per group"]) + int(facts.get("Reserved GDT blocks", 0)) + _TINY_GROUP
    # of all blocks Linux holds a fiftieth back, even from root: without more a first boot could write nothing
    headroom += min((count - free + headroom) // 49 + 1, _MOST_HELD_BACK)
    wanted = count - free + headroom
    if wanted % a_group:  # a last group that holds little more than its own tables would be dropped, and its blocks be missing
        wanted += max(0, tables - wanted % a_group)
    if used_inodes > -(-wanted // a_group) * int(facts["Inodes per group"]):
        return count + max(0, headroom - free)  # the last group is there for its inodes
    return wanted


def cut_image(image: Path) -> None:
    """Let the file system end at its content."""
    run(["e2fsck", "-f", "-y", image], ok=(0, 1), syncs=False)  # 1: corrected
    run(["resize2fs", "-M", image], syncs=False)


def check_image(image: Path) -> None:
    """Refuse an image that a cloud could not use.

    :raises ImageUnsound: naming the fault
    """
    try:
        run(["e2fsck", "-f", "-n", image], syncs=False)
    except CommandFailed as error:
        raise ImageUnsound(f"the file system of {image} is not clean: {error.output.strip()}") from error
    with open(image, "rb") as file:
        boot_block = file.read(1024)
    if any(boot_block):
        raise ImageUnsound(
            f"the boot block of {image} is not empty", hint="OpenStack would take it for a partition table and refuse it"
        )
    facts = superblock(image)
    if int(facts["Block count"]) * BLOCK != image.stat().st_size:
        raise ImageUnsound(f"{image} does not end where its file system ends")
    if "resize_inode" not in facts.get("Filesystem features", ""):
        raise ImageUnsound(f"{image} could not grow on a larger disk (no resize_inode)")


def superblock(image: StrPath) -> dict[str, str]:
    """What dumpe2fs -h says, by its names."""
    lines = run(["dumpe2fs", "-h", image], syncs=False).output.splitlines()  # it would sync what it only reads
    return {key: value.strip() for key, colon, value in (line.partition(":") for line in lines) if colon}


def block_count(image: StrPath) -> int:
    """The blocks of the file system in an image."""
    return int(superblock(image)["Block count"])


def version_of_programs() -> str:
    """The version of the programs that wrote the file system."""
    return run(["mke2fs", "-V"]).output.split()[1]
