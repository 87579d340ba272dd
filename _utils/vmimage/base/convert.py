"""From what a base is published as (a disk, a qcow2, a tar, a file system) to an ext4 image with all of the root in it."""

import os
from collections.abc import Collection, Container
from pathlib import Path

from vmimage.base.partitions import bring_along, copy_range, names_of, repair
from vmimage.errors import BaseRefused, CommandFailed
from vmimage.root import files, fstab
from vmimage.root.mounts import mounted
from vmimage.system import formats
from vmimage.system.formats import Partition
from vmimage.system.shell import run

_TAR_IMAGE_GIB = 64  # sparse: only what the tar holds takes space
_DISK_NAMES = (".raw", ".img", ".qcow2")
_COPIED = ["cp", "--archive", "--sparse=always", "--reflink=auto"]


def make_root_image(source: Path, kind: str, target: Path, scratch: Path) -> None:
    """Turn a base into a root image.  For a private namespace: mounts things.

    :param source: the base, only read
    :param kind: raw, disk, qcow2 or tar; must be what its header says
    :param target: the image to make
    :param scratch: an empty directory on a disk
    :raises BaseRefused: if the base is not what it is called, or has no root
    """
    found = formats.read_format(source)
    if found != kind:
        raise BaseRefused(
            f"{source} is called {kind} and is {found or 'nothing known'}", hint="correct ami.base_format, or leave it out"
        )
    {"raw": _from_raw, "disk": _from_disk, "qcow2": _from_qcow2, "tar": _from_tar}[kind](source, target, scratch)


def _from_raw(source: Path, target: Path, scratch: Path) -> None:
    run([*_COPIED, "--no-preserve=mode,ownership", source, target])
    repair(target)
    _settle(target, scratch)


def _from_qcow2(source: Path, target: Path, scratch: Path) -> None:
    formats.check_qcow2(source)
    flat = scratch / "flat.raw"
    run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", source, flat])
    kind = formats.read_format(flat)
    if kind not in ("raw", "disk"):
        raise BaseRefused(
            f"{source} holds neither a partition table nor an ext4 file system", hint="other file systems are not supported"
        )
    make_root_image(flat, kind, target, scratch)
    flat.unlink(missing_ok=True)


def _from_tar(source: Path, target: Path, scratch: Path) -> None:
    point = make_empty_image(target, scratch)
    with mounted(target, point):
        _extract(source, point)
        disk = _only_disk(point)
        if disk:
            inner = scratch / "inner.img"
            run([*_COPIED, point / disk, inner])
    if disk:
        target.unlink()
        kind = formats.read_format(inner)
        if kind not in ("raw", "disk", "qcow2"):
            raise BaseRefused(f"{source} holds {disk}, which is no disk that is known", hint="give the disk image itself")
        make_root_image(inner, kind, target, scratch)
        inner.unlink()
        return
    with mounted(target, point):
        names = fstab.names_of_root(files.read_text(point, "/etc/fstab", ""))
    if "LABEL" in names:
        run(["tune2fs", "-L", names["LABEL"], target])
    if "UUID" in names:
        run(["tune2fs", "-U", names["UUID"], target])
    _settle(target, scratch)


def _extract(source: Path, point: Path) -> None:
    kept = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls", "--sparse"]
    try:
        run(["tar", "--extract", "--file", source, "--directory", point, *kept])
    except CommandFailed as error:
        raise BaseRefused(
            f"{source} is compressed and no tar: {error.output.strip()[-300:]}", hint="if it is a compressed image, decompress it"
        ) from error


def _only_disk(point: Path) -> str | None:
    """The name of a disk image that is all that a tar holds, as Debian's cloud tars do, or None."""
    entries = [entry for entry in os.scandir(point) if entry.name != "lost+found"]
    images = [entry.name for entry in entries if entry.is_file(follow_symlinks=False) and entry.name.endswith(_DISK_NAMES)]
    return images[0] if len(images) == 1 and not any(entry.name == "etc" for entry in entries) else None


def make_empty_image(target: Path, scratch: Path) -> Path:
    """An empty sparse file system to fill; returns the directory to mount it on."""
    with open(target, "xb") as file:
        file.truncate(_TAR_IMAGE_GIB << 30)
    run(["mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", target])
    point = scratch / "point"
    point.mkdir(exist_ok=True)
    return point


def _from_disk(source: Path, target: Path, scratch: Path) -> None:
    partitions = formats.read_partitions(source)
    candidates = {partition: formats.read_ext(source, partition.offset) for partition in partitions}
    chosen = _choose_root(source, [partition for partition, ext in candidates.items() if ext], scratch)
    copy_range(source, chosen.offset, chosen.size, target)
    repair(target)
    others = {partition: ext for partition, ext in candidates.items() if partition is not chosen}
    places = bring_along(source, target, others, scratch)
    names = {f"PARTUUID={partition.identity}" for partition in partitions}
    names |= {name for partition, ext in others.items() for name in names_of(partition, ext)}
    _settle(target, scratch, names, places)


def _choose_root(source: Path, candidates: Collection[Partition], scratch: Path) -> Partition:
    """The root partition: what its type calls so, or else what holds a system."""
    typed = [partition for partition in candidates if partition.kind in formats.ROOT_TYPES]
    if len(typed) == 1:
        return typed[0]
    with_system = [partition for partition in candidates if _holds_system(source, partition, scratch)]
    if len(with_system) != 1:
        found = f"{len(with_system)} of its {len(candidates)} ext4 partitions hold a system"
        raise BaseRefused(
            f"the root partition of {source} is not known: {found}", hint="give the root file system alone, as a raw image"
        )
    return with_system[0]


def _holds_system(source: Path, partition: Partition, scratch: Path) -> bool:
    point = scratch / "look"
    point.mkdir(exist_ok=True)
    try:
        with mounted(source, point, "ro", "noload", "nosuid", offset=partition.offset, size=partition.size):
            return any(files.exists(point, path) for path in ("/etc/os-release", "/usr/lib/os-release"))
    except (CommandFailed, OSError):  # it is damaged
        return False


def _settle(image: Path, scratch: Path, gone: Container[str] = (), brought: Container[str] = ()) -> None:
    """Let the fstab name the file system that it is in now."""
    point = scratch / "point"
    point.mkdir(exist_ok=True)
    ext = formats.read_ext(image)
    with mounted(image, point):
        if not files.is_file(point, "/etc/os-release"):
            raise BaseRefused("the base holds no /etc/os-release", hint="is it the root file system of a Debian or Ubuntu?")
        assert ext is not None  # it is mounted
        fstab.settle(point, ext.label, ext.uuid, gone, brought)
