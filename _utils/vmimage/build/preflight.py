"""Whether this machine can build, asked before any work starts."""

import os
import stat
from pathlib import Path

from vmimage.errors import NotReady
from vmimage.system.confine import filter_code
from vmimage.system.progress import format_bytes
from vmimage.system.shell import check_installed

_PROGRAMS = ("mount", "umount", "mke2fs", "e2fsck", "resize2fs", "dumpe2fs", "tune2fs", "tar", "cp")
_OF_FORMAT = {"bootstrap": ("mmdebstrap",), "qcow2": ("qemu-img",)}
_OF_LIVE = ("systemd-nspawn", "nsenter")
_UNPACKED = {"tar": 4, "qcow2": 3}  # what a compressed file grows to, at a guess
_BOOTSTRAPPED_MIB = 512  # Debian bookworm: 483
_BOOT_MIB = 64  # kernel and ramdisk


def check_machine(settings, base_format, base, file_bytes=0):
    """Refuse to start what could not end.

    :param Settings settings:
    :param str base_format: bootstrap, raw, disk, qcow2 or tar
    :param base: the prepared Base, or None where it is still to be prepared
    :param int file_bytes: size of the file of a base that is still to be prepared
    :raises NotReady: naming what lacks and how to get it
    """
    check_basics()
    check_installed(*_OF_FORMAT.get(base_format, ()), *(_OF_LIVE if settings.live else ()))
    base_bytes = base.content_bytes if base else file_bytes * _UNPACKED.get(base_format, 1)
    for needs in needed_space(settings, (base_bytes >> 20) or _BOOTSTRAPPED_MIB, is_prepared=bool(base)):
        check_space(needs)


def check_basics():
    """Refuse to work without being root, without loop devices, a program that every build needs, or what keeps programs in a root."""
    check_root()
    if not _is_device("/dev/loop-control"):
        raise NotReady(
            "this machine has no loop devices (/dev/loop-control)", hint="modprobe loop; a container needs --privileged and /dev"
        )
    check_installed(*_PROGRAMS)
    filter_code()


def check_root():
    """Refuse to work without being root."""
    if os.geteuid() != 0:
        raise NotReady("building an image needs root: it mounts file systems", hint="sudo salt-call vm_create.create_variation")


def _is_device(path):
    try:
        return stat.S_ISCHR(os.stat(path).st_mode)
    except OSError:
        return False


def needed_space(settings, base_mib, is_prepared):
    """What is on the disks at the same time, while the base is prepared and while the image is built.

    :param int base_mib: what the files of the base take
    :param bool is_prepared: whether that is done, and its room in the cache taken
    :returns: lists of ``(directory, MiB, setting)``
    """
    building = [
        # a copy of the base, with what stays of the changes: of what they may take for a while, half at a guess
        (settings.output, base_mib + settings.room_mib // 2 + _BOOT_MIB, "ami.output"),
        (settings.workspace, settings.room_mib, "ami.workspace"),
    ]
    if is_prepared:
        return [building]
    preparing = [(settings.cache, 3 * base_mib, "ami.cache")]  # written loosely, with what is needed for a while, then tightly
    return [preparing, [*building, (settings.cache, base_mib, "ami.cache")]]


def check_space(needs):
    """Refuse to start where a file system has less room than the needs that fall on it, taken together.

    :raises NotReady: naming the directories and the figures
    """
    together = {}
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


def _existing(path):
    while not path.exists():
        path = path.parent
    return path
