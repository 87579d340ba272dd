"""A look at a root before and after the work in it: files that everybody reads are files, and what a machine needs to boot is there."""

import os
import re
import stat

from vmimage.errors import BaseRefused, ImageUnsound, VmImageError
from vmimage.root import files, fstab
from vmimage.system.aliases import StrPath

#: read by the builder, by Salt and at boot, with the bytes that are most; any may be missing, or a link
_FILES = {
    **dict.fromkeys(
        ("/usr/lib/os-release", *(f"/etc/{name}" for name in ("fstab", "hostname", "machine-id", "os-release"))), files.SMALL
    ),
    **dict.fromkeys((f"/etc/{name}" for name in ("group", "hosts", "passwd", "resolv.conf", "shadow")), files.LARGE),
    **dict.fromkeys(("/etc/apt/sources.list", "/var/lib/dpkg/status"), files.LARGE),
}
_INIT = ("/sbin/init", "/etc/init", "/bin/init")  # where a ramdisk looks
_SHELL = ("/bin/sh",)
#: what no root image has, which is a disk without partitions
_PARTITION = re.compile(r"(PARTUUID|PARTLABEL)=|/dev/([hsv]d[a-z]+[0-9]+|nvme[0-9]+n[0-9]+p[0-9]+|mmcblk[0-9]+p[0-9]+|mapper/)")


def check_files(root: StrPath, refusal: type[VmImageError] = BaseRefused) -> None:
    """Refuse a root in which something else stands where a file belongs: a fifo is waited for, a directory cannot be read.

    :raises BaseRefused: or another error that is given, naming it
    """
    for path, limit in _FILES.items():
        facts = _stat(root, path)
        if facts is None or stat.S_ISCHR(facts.st_mode):
            continue
        if not stat.S_ISREG(facts.st_mode):
            raise refusal(f"{path} of the image is {_kind(facts)}, and a file belongs there", hint="make it a file, or remove it")
        if facts.st_size > limit:
            raise refusal(f"{path} of the image has {facts.st_size} bytes, which no such file has", hint="make it what it was")


def check_bootable(root: StrPath) -> None:
    """Refuse a root that no machine can boot; its kernel and ramdisk are seen to where they are taken out.

    :raises ImageUnsound: naming what is missing
    """
    check_files(root, ImageUnsound)
    for what, places in {"init": _INIT, "shell": _SHELL}.items():
        if not any(_is_program(root, place) for place in places):
            raise ImageUnsound(
                f"the root has no {what}: {' or '.join(places)} is missing or no program; no machine can boot it",
                hint="let the base bring it, and see which state of the variation removes it",
            )
    for name, place, *_ in fstab.lines_of(files.read_text(root, "/etc/fstab", "")):
        if place == "/" and _PARTITION.match(name.replace('"', "")):
            raise ImageUnsound(
                f"/etc/fstab of the image mounts {name} at /, and the image is a disk without partitions",
                hint="name the root by LABEL= or UUID=, as the base does",
            )


def _is_program(root: StrPath, path: str) -> bool:
    facts = _stat(root, path)
    return facts is not None and stat.S_ISREG(facts.st_mode) and facts.st_size > 0 and facts.st_mode & 0o111 != 0


def _stat(root: StrPath, path: str) -> os.stat_result | None:
    try:
        with files.opened(root, path, os.O_PATH) as descriptor:
            return os.fstat(descriptor)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _kind(facts: os.stat_result) -> str:
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a fifo", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(facts.st_mode), "no regular file")
