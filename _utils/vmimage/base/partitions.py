"""What a base mounts from other partitions of its disk: it comes along into the root image, or the base is refused by name."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from vmimage.errors import BaseRefused, CommandFailed
from vmimage.image.ext4 import grow_image
from vmimage.root import files, fstab
from vmimage.root.mounts import mounted
from vmimage.system.formats import Ext, Partition
from vmimage.system.shell import run
from vmimage.system.trees import remove_tree

_FIRST_DISK = r"/dev/(?:[hsv]da|xvda|nvme0n1p|mmcblk0p)"
_LEFT = ("/boot/efi", "/efi")  # a kernel that Glance hands over needs no boot loader
_OPTIONAL = {"noauto", "nofail"}


def names_of(partition: Partition, ext: Ext | None) -> set[str]:
    """What an fstab may call a partition.

    :param ext: of the partition, or None for another file system
    :returns: such as ``LABEL=home`` and ``PARTUUID=...``
    """
    by_content = {f"UUID={ext.uuid}", *([f"LABEL={ext.label}"] if ext.label else [])} if ext else set()
    return {f"PARTUUID={partition.identity}", *by_content}


def bring_along(source: Path, target: Path, others: Mapping[Partition, Ext | None], scratch: Path) -> list[str]:
    """Copy what the fstab of a root mounts from other partitions to where it is mounted.  For a private namespace: mounts things.

    What lies hidden below such a place goes, as it cannot be seen on the machine either.

    :param source: the disk image, only read
    :param target: the image of the root, which grows
    :param others: partitions of the disk, without the root's
    :param scratch: a directory on a disk
    :returns: the mount points, parents first
    :raises BaseRefused: if something that the base needs lies on no ext4 partition of this disk
    """
    point = scratch / "point"
    point.mkdir(exist_ok=True)
    with mounted(target, point, "ro"):
        wanted = wanted_places(files.read_text(point, "/etc/fstab", ""), others)
    copies = {}
    for number, (place, partition) in enumerate(sorted(wanted.items(), key=lambda item: PurePosixPath(item[0]).parts)):
        copies[place] = scratch / f"partition-{number}.img"
        copy_range(source, partition.offset, partition.size, copies[place])
        repair(copies[place])  # a journal may hold what was written last
    if not copies:
        return []
    grow_image(target, sum(copy.stat().st_size for copy in copies.values()))
    with mounted(target, point):
        for place, copy in copies.items():
            _replace(point, place, copy, scratch / "other")
    return list(copies)


def wanted_places(text: str, others: Mapping[Partition, Ext | None]) -> dict[str, Partition]:
    """Where an fstab mounts which of the other partitions.

    :param text: of the fstab
    :returns: ``{mount point: Partition}``
    :raises BaseRefused: naming a mount point whose files cannot be had
    """
    found = {}
    for name, place, kind, *options in fstab.lines_of(text):
        name = name.replace('"', "")
        if kind == "swap" or place == "/" or place in _LEFT or not fstab.names_partition(name):
            continue
        partition = next((part for part, ext in others.items() if name in names_of(part, ext) or _is_number(name, part)), None)
        if partition and others[partition]:
            found[str(PurePosixPath(place))] = partition
        elif place != "/boot" and not _OPTIONAL & set("".join(options[:1]).split(",")):
            raise BaseRefused(
                f"the base mounts {name} ({kind}) at {place}, and that is no ext4 partition of its disk",
                hint="give a base with all in one file system, or write nofail in the line of its fstab",
            )
    return found


def _is_number(name: str, partition: Partition) -> bool:
    return re.fullmatch(f"{_FIRST_DISK}{partition.number}", name) is not None


def _replace(root: Path, place: str, image: Path, point: Path) -> None:
    into = Path(files.own_directory(root, place))
    for name in files.list_directory(root, place):  # cp would write through a link that stands there already
        files.remove(root, f"{place}/{name}")
    point.mkdir(exist_ok=True)
    with mounted(image, point, "ro", "nosuid"):
        try:
            run(["cp", "--archive", f"{point}/.", f"{into}/"])
        except CommandFailed as error:
            raise BaseRefused(f"{place} of the base cannot be copied into its root: {error.output.strip()[-300:]}") from error
    remove_tree(into / "lost+found", ignore_errors=True)
    image.unlink()


def copy_range(source: Path, offset: int, size: int, target: Path) -> None:
    """Copy part of a disk image to a file of its own, with holes for zeros; offset and size in bytes."""
    argv = ["dd", f"if={source}", f"of={target}", "bs=1M", "conv=sparse", "iflag=skip_bytes,count_bytes", "status=none"]
    run([*argv, f"skip={offset}", f"count={size}"])
    with open(target, "r+b") as file:
        file.truncate(size)


def repair(image: Path) -> None:
    """Check an ext4 image, and correct what can be."""
    run(["e2fsck", "-f", "-y", image], ok=(0, 1))  # 1: corrected
