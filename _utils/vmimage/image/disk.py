"""A whole disk out of a finished root image: a partition table, a loader for BIOS, an EFI system, and the root.

    1 MiB  BIOS boot, partition 14      GRUB's core image; the first sector of the disk leads to it
    2 MiB  EFI system, partition 15     FAT32 with shim and GRUB, and where they find the root
    66 MiB root, partition 1            the root image as it is, last on the disk so that it can grow

It is written with plain files: no loop device, no mount, and no program of the root.  The same root makes the same table.
"""

import os
import struct
import uuid
from pathlib import Path

from vmimage.errors import ImageUnsound
from vmimage.image.loader import BIOS, BOOT, CONFIG, CORE, GRUB, SHIM, Loader, esp_identity
from vmimage.system.shell import run
from vmimage.system.sparse import copy_into

PROGRAMS = ("sfdisk", "mkfs.fat", "mmd", "mcopy")
_MIB, _SECTOR = 1 << 20, 512
_BIOS_AT, _BIOS_MIB, _ESP_AT, _ESP_MIB = 1, 1, 2, 64  # in MiB; FAT32 takes no fewer than 65525 clusters
ROOT_AT = (_ESP_AT + _ESP_MIB) * _MIB
_END = _MIB  # for the second table
_TYPES = {
    "bios": "21686148-6449-6E6F-744E-656564454649",
    "esp": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    "x64": "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
    "aa64": "B921B045-1DF0-41C3-AF44-4C6F280D3FAE",
}
#: of boot.img: bytes of code, where the sector of the core image stands, and where the drive that the firmware named is checked
_CODE, _CORE_SECTOR, _DRIVE_CHECK = 440, 0x5C, 0x66
_KEEP_DRIVE = b"\x90\x90"  # two bytes that do nothing: any drive that the firmware names is right
_BLOCK_LIST = _SECTOR - 12  # of the core image's first sector: where the rest of it is
_LOADED_AT = 0x820  # the segment that stands in the list of a new core image


def disk_bytes(root_bytes: int) -> int:
    """How large the disk of a root image is."""
    return ROOT_AT + -(-root_bytes // _MIB) * _MIB + _END


def make_frame(root_bytes: int, target: Path, loader: Loader, scratch: Path) -> int:
    """Write a raw disk without its root: a hole from :data:`ROOT_AT` on.

    :param target: the file to make
    :param scratch: a directory for what is needed meanwhile
    :returns: its size in bytes
    """
    target.unlink(missing_ok=True)
    target.touch(mode=0o600)  # passwords of the root will be in it
    size = disk_bytes(root_bytes)
    os.truncate(target, size)
    table = scratch / "table"
    table.write_text(partition_table(loader, size), encoding="ascii")
    with open(table, "rb") as script:
        run(["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", target], stdin=script)
    copy_into(_make_esp(loader, scratch / "esp"), target, _ESP_AT * _MIB)
    if BIOS in loader.firmware:
        install_bios(target, Path(loader.directory, BOOT).read_bytes(), Path(loader.directory, CORE).read_bytes())
    return size


def partition_table(loader: Loader, size: int) -> str:
    """The script for sfdisk; all identities follow from the root's UUID."""
    identity = {part: uuid.uuid5(uuid.UUID(loader.uuid), part) for part in ("disk", "bios", "esp", "root")}
    sectors = _MIB // _SECTOR
    lines = ["label: gpt", f"label-id: {identity['disk']}", "unit: sectors", f"first-lba: {_BIOS_AT * sectors}"]
    parts = [(15, _ESP_AT, _ESP_MIB, _TYPES["esp"], "esp")]
    if BIOS in loader.firmware:
        parts.append((14, _BIOS_AT, _BIOS_MIB, _TYPES["bios"], "bios"))
    parts.append((1, ROOT_AT // _MIB, (size - ROOT_AT - _END) // _MIB, _TYPES[loader.ending], "root"))
    for number, at, mib, kind, name in parts:
        lines.append(f"{number}: start={at * sectors}, size={mib * sectors}, type={kind}, uuid={identity[name]}, name={name}")
    return "\n".join(lines) + "\n"


def _make_esp(loader: Loader, target: Path) -> Path:
    """The EFI system: where a firmware looks that knows nothing of this disk."""
    target.unlink(missing_ok=True)
    with open(target, "xb") as file:
        file.truncate(_ESP_MIB * _MIB)
    serial, directory = esp_identity(loader.uuid).replace("-", ""), Path(loader.directory)
    # not mformat: it writes a partition table into the boot sector, and grub-probe would take it for a disk within the disk
    run(["mkfs.fat", "-F", "32", "-s", "1", "-i", serial, "-n", "ESP", target])
    run(["mmd", "-i", target, "::/EFI", "::/EFI/BOOT", f"::/EFI/{loader.vendor}"])
    names = {
        SHIM: f"BOOT/BOOT{loader.ending.upper()}.EFI",
        GRUB: f"BOOT/grub{loader.ending}.efi",
        CONFIG: f"{loader.vendor}/grub.cfg",
    }
    for name, place in names.items():
        run(["mcopy", "-i", target, directory / name, f"::/EFI/{place}"])
    return target


def install_bios(disk: Path, boot: bytes, core: bytes) -> None:
    """Write GRUB for BIOS: its first sector leads to its core image, whose first sector leads to the rest.

    :param boot: boot.img of GRUB
    :param core: of grub-mkimage
    :raises ImageUnsound: if they are not what GRUB makes
    """
    first, sectors = _BIOS_AT * _MIB // _SECTOR, -(-len(core) // _SECTOR)
    if len(boot) != _SECTOR or not 1 < sectors <= _BIOS_MIB * _MIB // _SECTOR:
        raise ImageUnsound(
            f"GRUB of the image has {len(boot)} bytes of boot.img and {len(core)} of its core image: not to be used"
        )
    start, _, segment = struct.unpack_from("<QHH", core, _BLOCK_LIST)
    if segment != _LOADED_AT:
        raise ImageUnsound(f"the core image of GRUB lists sector {start} at segment {segment:#x}: its layout is not known")
    code, image = bytearray(boot), bytearray(core.ljust(sectors * _SECTOR, b"\0"))
    struct.pack_into("<Q", code, _CORE_SECTOR, first)
    code[_DRIVE_CHECK : _DRIVE_CHECK + len(_KEEP_DRIVE)] = _KEEP_DRIVE
    struct.pack_into("<QH", image, _BLOCK_LIST, first + 1, sectors - 1)
    with open(disk, "r+b") as file:
        file.write(code[:_CODE])  # what follows is of the partition table
        file.seek(_BIOS_AT * _MIB)
        file.write(image)
