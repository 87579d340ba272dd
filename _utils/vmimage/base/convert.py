"""From what a base is published as (a disk, a qcow2, a tar, a file system) to its files: a mounted directory with all of the root in it."""

import os
import resource
import signal
import uuid
from collections.abc import Callable, Collection, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vmimage.base.partitions import bring_along, copy_range, names_of, repair
from vmimage.errors import BaseRefused, CommandFailed, VmImageError
from vmimage.root import files, fstab
from vmimage.root.mounts import mount_memory, mounted, unmount
from vmimage.system import formats
from vmimage.system.formats import Partition
from vmimage.system.memory import ran_full
from vmimage.system.shell import run

_DISK_GIB = 64  # sparse: only what is written takes space
_LARGEST_FILE = (1 << 44) - 4096  # bytes: of ext4 with blocks of 4 KiB
_DISK_NAMES = (".raw", ".img", ".qcow2")
_COPIED = ["cp", "--archive", "--sparse=always", "--reflink=auto"]


@dataclass(frozen=True)
class BaseFiles:
    """The files of a base.

    :ivar point: where they are mounted
    :ivar label: that their file system has, or shall have
    :ivar uuid: likewise
    """

    point: Path
    label: str
    uuid: str


@contextmanager
def opened_base(source: Path, kind: str, scratch: Path, memory_mib: int = 0) -> Iterator[BaseFiles]:
    """The files of a base for the time of the block.  For a private namespace: mounts things.

    :param source: the base, only read
    :param kind: raw, disk, qcow2 or tar; must be what its header says
    :param scratch: an empty directory on a disk
    :param memory_mib: as for :func:`filled`
    :raises BaseRefused: if the base is not what it is called, or has no root
    """
    found = formats.read_format(source)
    if found != kind:
        raise BaseRefused(
            f"{source} is called {kind} and is {found or 'nothing known'}", hint="correct ami.base_format, or leave it out"
        )
    if kind == "tar":
        with filled(lambda point: _extract(source, point), scratch, memory_mib) as point:
            disk = _only_disk(point)
            if not disk:
                yield _named(point)
                return
            inner = scratch / "inner.img"
            run([*_COPIED, point / disk, inner])
        source, kind = inner, formats.read_format(inner) or ""
        if kind not in _MAKERS:
            raise BaseRefused(f"the tar holds {disk}, which is no disk that is known", hint="give the disk image itself")
    image, point = scratch / "loose.img", scratch / "point"
    _MAKERS[kind](source, image, scratch)
    ext = formats.read_ext(image)
    with mounted(image, point, "ro"):
        assert ext is not None  # it is mounted
        yield BaseFiles(point, ext.label, ext.uuid)


@contextmanager
def filled(fill: Callable[[Path], object], scratch: Path, memory_mib: int = 0) -> Iterator[Path]:
    """A file system with nothing in it but what a callable writes there, for the time of the block.

    :param fill: called with the directory where it is mounted; again where the memory was too small
    :param memory_mib: MiB of memory that it may take; what does not fit goes to the disk, and with 0 everything does
    """
    point = scratch / "files"
    point.mkdir()
    if memory_mib and mount_memory(point, memory_mib):
        try:
            if _fits(fill, point):
                yield point
                return
        finally:
            unmount(point)
    image = scratch / "files.img"
    with open(image, "xb") as file:
        file.truncate(_DISK_GIB << 30)
    run(["mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", image])
    with mounted(image, point):
        fill(point)
    with mounted(image, point):
        yield point


def _fits(fill: Callable[[Path], object], point: Path) -> bool:
    try:
        fill(point)
    except (VmImageError, OSError) as error:
        if ran_full(point, f"{error}"):
            return False
        raise
    return True


def _named(point: Path) -> BaseFiles:
    """The files of a tar, with names of a file system that their fstab knows."""
    names = fstab.names_of_root(files.read_text(point, "/etc/fstab", ""))
    label, identity = names.get("LABEL", ""), names.get("UUID", "") or str(uuid.uuid4())
    _settle(point, label, identity)
    return BaseFiles(point, label, identity)


def _from_raw(source: Path, target: Path, scratch: Path) -> None:
    run([*_COPIED, "--no-preserve=mode,ownership", source, target])
    repair(target)
    _settle_image(target, scratch)


def _from_qcow2(source: Path, target: Path, scratch: Path) -> None:
    formats.check_qcow2(source)
    flat = scratch / "flat.raw"
    run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", source, flat])
    kind = formats.read_format(flat)
    if kind not in ("raw", "disk"):
        raise BaseRefused(
            f"{source} holds neither a partition table nor an ext4 file system", hint="other file systems are not supported"
        )
    _MAKERS[kind](flat, target, scratch)
    flat.unlink(missing_ok=True)


def _extract(source: Path, point: Path) -> None:
    kept = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls", "--sparse"]
    try:
        run(["tar", "--extract", "--file", source, "--directory", point, *kept], preexec=_limit_files)
    except CommandFailed as error:
        if error.code == -signal.SIGXFSZ:
            raise BaseRefused(f"a file in {source} is larger than a file of ext4 can be") from error
        raise BaseRefused(
            f"{source} is compressed and no tar: {error.output.strip()[-300:]}", hint="if it is a compressed image, decompress it"
        ) from error


def _limit_files() -> None:
    """Files of a tmpfs may be larger than those of ext4, which they are to become; tar, were it not killed, would leave them empty."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE, _LARGEST_FILE))


def _only_disk(point: Path) -> str | None:
    """The name of a disk image that is all that a tar holds, as Debian's cloud tars do, or None."""
    entries = [entry for entry in os.scandir(point) if entry.name != "lost+found"]
    images = [entry.name for entry in entries if entry.is_file(follow_symlinks=False) and entry.name.endswith(_DISK_NAMES)]
    return images[0] if len(images) == 1 and not any(entry.name == "etc" for entry in entries) else None


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
    _settle_image(target, scratch, names, places)


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


def _settle_image(image: Path, scratch: Path, gone: Container[str] = (), brought: Container[str] = ()) -> None:
    point = scratch / "point"
    point.mkdir(exist_ok=True)
    ext = formats.read_ext(image)
    with mounted(image, point):
        assert ext is not None  # it is mounted
        _settle(point, ext.label, ext.uuid, gone, brought)


def _settle(point: Path, label: str, identity: str, gone: Container[str] = (), brought: Container[str] = ()) -> None:
    """Let the fstab name the file system that the files will be in."""
    if not files.is_file(point, "/etc/os-release"):
        raise BaseRefused("the base holds no /etc/os-release", hint="is it the root file system of a Debian or Ubuntu?")
    fstab.settle(point, label, identity, gone, brought)


_MAKERS: dict[str, Callable[[Path, Path, Path], None]] = {"raw": _from_raw, "disk": _from_disk, "qcow2": _from_qcow2}
