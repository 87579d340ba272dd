"""The fstab of a root that leaves its old disk and will live alone on a new disk."""

import os
import re
from collections.abc import Container

from vmimage.errors import ImageUnsound
from vmimage.root import files
from vmimage.system.aliases import StrPath

_DEFAULTS = "defaults,errors=remount-ro,x-systemd.growfs"
_BY_PARTITION = re.compile(r"(LABEL|UUID|PARTUUID|PARTLABEL)=|/dev/(?!mapper/|shm)")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_LABEL_BYTES = 16
_LEFT_BEHIND = "# this file system is not part of the image: "
_BROUGHT = "# what was in this file system is in the image: "


def names_of_root(text: str) -> dict[str, str]:
    """``{"LABEL": ..., "UUID": ...}``, as far as the line of ``/`` gives them.

    :raises ImageUnsound: if a file system cannot have that name
    """
    for fields in map(str.split, text.splitlines()):
        if len(fields) > 1 and not fields[0].startswith("#") and fields[1] == "/" and fields[0].startswith(("LABEL=", "UUID=")):
            kind, value = fields[0].split("=", 1)
            value = value.strip('"')
            if not (_UUID.fullmatch(value) if kind == "UUID" else 0 < len(os.fsencode(value)) <= _LABEL_BYTES):
                raise ImageUnsound(
                    f"/etc/fstab of the image names its root {fields[0]}, and that no file system can be",
                    hint="a UUID is written 01234567-89ab-cdef-0123-456789abcdef, a label has 16 bytes at most",
                )
            return {kind: value}
    return {}


def lines_of(text: str) -> list[list[str]]:
    """The fields of each line that mounts something."""
    return [fields for fields in map(str.split, text.splitlines()) if len(fields) >= 3 and not fields[0].startswith("#")]


def names_partition(name: str) -> bool:
    """Whether the first field of a line stands for a partition or logical volume of some disk."""
    return bool(_BY_PARTITION.match(name)) or name.startswith("/dev/mapper/")


def fit_fstab(text: str, label: str, uuid: str, gone: Container[str] = (), brought: Container[str] = ()) -> str:
    """An fstab for the file system with this label and UUID, alone on its disk.

    :param text: the old fstab
    :param gone: names (``LABEL=...``, ``UUID=...``, ``PARTUUID=...``) of partitions that stay behind
    :param brought: mount points whose files are in this file system now
    :returns: the new text; the same if it fits already
    """
    ours = {f"UUID={uuid}", *([f"LABEL={label}"] if label else [])}
    lines, has_root = [], False
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 3 or fields[0].startswith("#"):
            lines.append(line)
            continue
        name = fields[0].replace('"', "")
        if fields[1] == "/":
            has_root = True
            lines.append(line if name in ours else line.replace(fields[0], f"UUID={uuid}", 1))
        elif fields[1].rstrip("/") in brought:
            lines.append(_BROUGHT + line)
        elif name in gone or (_BY_PARTITION.match(name) and (fields[1] in ("/boot", "/boot/efi") or fields[2] == "swap")):
            lines.append(_LEFT_BEHIND + line)
        else:
            lines.append(line)
    if not has_root:
        lines.append(f"{f'LABEL={label}' if label.split() == [label] else f'UUID={uuid}'} / ext4 {_DEFAULTS} 0 1")
    new = "\n".join(lines) + "\n"
    return text if new.split() == text.split() else new


def fit_disk(text: str, uuid: str, esp: str) -> str:
    """An fstab for a root that is a partition of a disk: it is named by its UUID and grows, and the EFI system is mounted where it is.

    :param text: the old fstab
    :param uuid: of the root's file system
    :param esp: of the EFI system's: it is mounted when something looks at it, for a machine may boot the root without that disk
    """
    lines, has_root = [], False
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 3 or fields[0].startswith("#"):
            lines.append(line)
        elif fields[1] == "/":
            has_root = True
            options = fields[3] if len(fields) > 3 else _DEFAULTS
            options += "" if "x-systemd.growfs" in options.split(",") else ",x-systemd.growfs"
            lines.append(" ".join([f"UUID={uuid}", *fields[1:3], options, *(fields[4:] or ["0", "1"])]))
        elif fields[1] != "/boot/efi":
            lines.append(line)
    lines += [] if has_root else [f"UUID={uuid} / ext4 {_DEFAULTS} 0 1"]
    lines.append(f"UUID={esp} /boot/efi vfat umask=0077,nofail,x-systemd.automount,x-systemd.device-timeout=10s 0 0")
    return "\n".join(lines) + "\n"


def settle(root: StrPath, label: str, uuid: str, gone: Container[str] = (), brought: Container[str] = ()) -> bool:
    """Replace the fstab of a mounted root where it does not fit; returns whether it did."""
    old = files.read_text(root, "/etc/fstab", "")
    new = fit_fstab(old, label, uuid, gone, brought)
    if new != old:
        files.make_directory(root, "/etc")
        files.write_text(root, "/etc/fstab", new)
    return new != old
