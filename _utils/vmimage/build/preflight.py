"""Whether this machine can build, asked before any work starts."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from vmimage.base.prepare import Base
from vmimage.errors import NotReady, SettingsWrong
from vmimage.image.outputs import check_programs, needed_mib
from vmimage.settings.schema import Settings
from vmimage.system.aliases import StrPath
from vmimage.system.confine import filter_code
from vmimage.system.progress import format_bytes
from vmimage.system.shell import check_installed

#: ``(directory, MiB, setting)``
Need = tuple[StrPath, int, str]

_PROGRAMS = ("mount", "umount", "mke2fs", "e2fsck", "resize2fs", "dumpe2fs", "tune2fs", "tar", "cp")
_OF_FORMAT = {"bootstrap": ("mmdebstrap",), "qcow2": ("qemu-img",)}
_OF_LIVE = ("systemd-nspawn", "nsenter")
_UNPACKED = {"tar": 4, "qcow2": 3}  # what a compressed file grows to, at a guess
_BOOTSTRAPPED_MIB = 512  # Debian bookworm: 483
_BOOT_MIB = 64  # kernel and ramdisk


def check_machine(settings: Settings, base_format: str, base: Base | None, file_bytes: int = 0) -> None:
    """Refuse to start what could not end.

    :param base_format: bootstrap, raw, disk, qcow2 or tar
    :param base: the prepared base, or None where it is still to be prepared
    :param file_bytes: size of the file of a base that is still to be prepared
    :raises NotReady: naming what lacks and how to get it
    """
    check_basics()
    check_installed(*_OF_FORMAT.get(base_format, ()), *(_OF_LIVE if settings.live else ()))
    check_programs(settings)
    base_bytes = base.content_bytes if base else file_bytes * _UNPACKED.get(base_format, 1)
    for needs in needed_space(settings, (base_bytes >> 20) or _BOOTSTRAPPED_MIB, is_prepared=bool(base)):
        check_space(needs)


def check_basics() -> None:
    """Refuse to work without being root, without loop devices, a program that every build needs, or what keeps programs in a root."""
    check_root()
    if not _is_device("/dev/loop-control"):
        raise NotReady(
            "this machine has no loop devices (/dev/loop-control)", hint="modprobe loop; a container needs --privileged and /dev"
        )
    check_installed(*_PROGRAMS)
    filter_code()


def check_directories(settings: Settings) -> None:
    """Refuse a place for directories that is a file, or lies below one: the end of a build would find it out.

    :raises SettingsWrong: naming the setting
    """
    for key in ("output", "workspace", "cache", "root"):
        place = getattr(settings, key)
        try:
            is_directory = _existing(Path(place)).is_dir() if place else True
        except OSError as error:  # a name too long, a link in a circle
            raise SettingsWrong(f"ami.{key} is {place}: {error.strerror}", hint="set it to a directory") from error
        if not is_directory:
            raise SettingsWrong(
                f"ami.{key} is {place}, and {_existing(Path(place))} is no directory", hint="set it to a directory"
            )


def check_root() -> None:
    """Refuse to work without being root."""
    if os.geteuid() != 0:
        raise NotReady("building an image needs root: it mounts file systems", hint="sudo salt-call vm_create.create_variation")


def _is_device(path: str) -> bool:
    try:
        return stat.S_ISCHR(os.stat(path).st_mode)
    except OSError:
        return False


def needed_space(settings: Settings, base_mib: int, is_prepared: bool) -> list[list[Need]]:
    """What is on the disks at the same time, while the base is prepared and while the image is built.

    :param base_mib: what the files of the base take
    :param is_prepared: whether that is done, and its room in the cache taken
    :returns: what is there at the same time, of each time
    """
    root_mib = base_mib + settings.room_mib // 2  # a copy of the base, with what stays of the changes: half of what they may take
    building: list[Need] = [
        (settings.output, root_mib + _BOOT_MIB + needed_mib(settings, root_mib), "ami.output"),
        (settings.workspace, settings.room_mib, "ami.workspace"),
    ]
    if is_prepared:
        return [building]
    preparing: list[Need] = [
        (settings.cache, 3 * base_mib, "ami.cache")
    ]  # written loosely, with what is needed for a while, then tightly
    return [preparing, [*building, (settings.cache, base_mib, "ami.cache")]]


def check_space(needs: Iterable[Need]) -> None:
    """Refuse to start where a file system has less room than the needs that fall on it, taken together.

    :raises NotReady: naming the directories and the figures
    """
    together: dict[int, list[tuple[Path, int, str]]] = {}
    for directory, mib, setting in needs:
        place = _existing(Path(directory))
        together.setdefault(os.stat(place).st_dev, []).append((place, mib, setting))
    for parts in together.values():
        facts = os.statvfs(parts[0][0])
        free, wanted = facts.f_bavail * facts.f_frsize, sum(mib for _, mib, _ in parts) << 20
        if free < wanted:
            names = " and ".join(setting for _, _, setting in parts)
            raise NotReady(
                f"{parts[0][0]} has {format_bytes(free)} free, the build may need {format_bytes(wanted)} there ({names})",
                hint="free some room, set one of them to another disk, or lower ami.room_mib",
            )


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
