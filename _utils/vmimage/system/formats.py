"""What an image says of itself in its first bytes.  Pure reading: nothing is run, nothing is guessed by a tool that could be fooled."""

import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from vmimage.errors import BaseRefused
from vmimage.system.aliases import StrPath

SECTOR = 512
ROOT_TYPES = {
    uuid.UUID("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"),  # root of x86-64
    uuid.UUID("b921b045-1df0-41c3-af44-4c6f280d3fae"),  # root of arm64
}
_MAGIC = {b"QFI\xfb": "qcow2", b"\x1f\x8b": "tar", b"\xfd7zXZ\0": "tar", b"\x28\xb5\x2f\xfd": "tar"}
_EXTENDED = (0x05, 0x0F, 0x85)
_FAR = 1 << 43  # beyond any image, and no farther than seek(2) goes on ext4


@dataclass(frozen=True)
class Partition:
    """A partition of a disk image.

    :ivar number: as in the table
    :ivar offset: in bytes
    :ivar size: in bytes
    :ivar kind: the type of an MBR as a number, of a GPT as a UUID
    :ivar identity: PARTUUID as fstab writes it
    """

    number: int
    offset: int
    size: int
    kind: int | uuid.UUID
    identity: str


@dataclass(frozen=True)
class Ext:
    """What an ext2, ext3 or ext4 superblock names the file system.

    :ivar label: may be empty
    :ivar uuid: as fstab writes it
    """

    label: str
    uuid: str


def read_format(path: StrPath) -> str | None:
    """``raw``, ``disk``, ``qcow2`` or ``tar``, by the file's own header, or None for none of them."""
    with open(path, "rb") as file:
        head = file.read(2048)
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    if head[257:262] == b"ustar":
        return "tar"
    if head[1080:1082] == b"\x53\xef":
        return "raw"
    if head[510:512] == b"\x55\xaa":
        return "disk"
    return None


def read_ext(path: StrPath, offset: int = 0) -> Ext | None:
    """The :class:`Ext` at an offset of an image, or None if there is none."""
    with open(path, "rb") as file:
        file.seek(offset + 1024)
        block = file.read(1024)
    if len(block) < 136 or block[56:58] != b"\x53\xef":
        return None
    return Ext(block[120:136].split(b"\0")[0].decode(errors="replace"), str(uuid.UUID(bytes=block[104:120])))


def check_qcow2(path: StrPath) -> None:
    """Refuse a qcow2 that refers to other files or that cannot be read without a secret.

    :raises BaseRefused: naming what it refers to
    """
    with open(path, "rb") as file:
        head = file.read(104)
        if len(head) < 80 or head[:4] != b"QFI\xfb":
            raise BaseRefused(f"{path} is no qcow2 image", hint="correct ami.base_format")
        version, backing_offset, backing_size = struct.unpack(">IQI", head[4:20])
        (encryption,) = struct.unpack(">I", head[32:36])
        if backing_offset:
            file.seek(min(backing_offset, _FAR))
            name = file.read(min(backing_size, 1023)).decode(errors="replace")
            raise BaseRefused(
                f"{path} has a backing file, {name}", hint="flatten it where you trust it: qemu-img convert -O qcow2"
            )
    if version not in (2, 3):
        raise BaseRefused(f"{path} is a qcow2 of version {version}", hint="versions 2 and 3 are known")
    if encryption:
        raise BaseRefused(f"{path} is encrypted", hint="decrypt it first: qemu-img convert")
    if version == 3 and struct.unpack(">Q", head[72:80])[0] & 0b100:
        raise BaseRefused(
            f"{path} keeps its data in another file", hint="flatten it where you trust it: qemu-img convert -O qcow2"
        )


def read_partitions(path: StrPath) -> list[Partition]:
    """The partitions of a raw disk image, from its GPT or MBR.

    :raises BaseRefused: if the table is not sound
    """
    with open(path, "rb") as disk:
        size = disk.seek(0, 2)
        mbr = _read(disk, 0, SECTOR)
        entries = [_mbr_entry(mbr, index) for index in range(4)]
        if any(kind == 0xEE for kind, _, _ in entries):
            found = _read_gpt(disk)
        else:
            found = _read_mbr(disk, mbr, entries)
    for partition in found:
        if partition.offset < SECTOR or partition.size <= 0 or partition.offset + partition.size > size:
            raise BaseRefused(
                f"partition {partition.number} of {path} lies outside of the image", hint="was the download cut short?"
            )
    return found


def _read(disk: BinaryIO, offset: int, count: int) -> bytes:
    disk.seek(min(offset, _FAR))
    return disk.read(count).ljust(count, b"\0")


def _mbr_entry(sector: bytes, index: int) -> tuple[int, int, int]:
    """``(type, first sector, sectors)``"""
    entry = sector[446 + 16 * index : 462 + 16 * index]
    start, count = struct.unpack("<II", entry[8:16])
    return entry[4], start, count


def _read_mbr(disk: BinaryIO, mbr: bytes, entries: Sequence[tuple[int, int, int]]) -> list[Partition]:
    (signature,) = struct.unpack("<I", mbr[440:444])

    def partition(number: int, kind: int, start: int, count: int) -> Partition:
        return Partition(number, start * SECTOR, count * SECTOR, kind, f"{signature:08x}-{number:02x}")

    found = [partition(number, *entry) for number, entry in enumerate(entries, 1) if entry[0] and entry[0] not in _EXTENDED]
    first = next((start for kind, start, _ in entries if kind in _EXTENDED), 0)
    seen: set[int] = set()
    following, number = first, 5
    while following and following not in seen and len(seen) < 128:
        seen.add(following)
        sector = _read(disk, following * SECTOR, SECTOR)
        kind, start, count = _mbr_entry(sector, 0)
        if kind:
            found.append(partition(number, kind, following + start, count))
            number += 1  # as Linux counts: an empty place in the chain has no number
        next_kind, next_start, _ = _mbr_entry(sector, 1)
        following = first + next_start if next_kind in _EXTENDED else 0
    return found


def _read_gpt(disk: BinaryIO) -> list[Partition]:
    header = _read(disk, SECTOR, 92)
    if header[:8] != b"EFI PART":
        raise BaseRefused("the disk has a protective MBR and no GPT", hint="was it made with 4096-byte sectors? use 512")
    (first,) = struct.unpack("<Q", header[72:80])
    count, size = struct.unpack("<II", header[80:88])
    if not 128 <= size <= 4096 or count > 1024:
        raise BaseRefused(f"the GPT has {count} entries of {size} bytes", hint="repair it: sgdisk --verify")
    table, found = _read(disk, first * SECTOR, count * size), []
    for index in range(count):
        entry = table[index * size : (index + 1) * size]
        kind, identity = uuid.UUID(bytes_le=entry[:16]), uuid.UUID(bytes_le=entry[16:32])
        start, end = struct.unpack("<QQ", entry[32:48])
        if kind.int:
            found.append(Partition(index + 1, start * SECTOR, (end - start + 1) * SECTOR, kind, str(identity)))
    return found
