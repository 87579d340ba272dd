"""The kernel and the ramdisk of a root: the newest, of the same version, copied out."""

import os
import re
import stat
from pathlib import Path

from vmimage.errors import KernelMissing, RamdiskMissing
from vmimage.root import files
from vmimage.system.aliases import StrPath

_LARGEST_KERNEL, _LARGEST_RAMDISK = 1 << 30, 8 << 30
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~_-]*")
_CONFIGURATIONS = ("/usr/share/initramfs-tools/conf.d", "/etc/initramfs-tools/conf.d")


def newest_kernel(root: StrPath) -> str:
    """The version of the newest kernel in ``/boot``.

    :returns: such as ``6.1.0-18-cloud-amd64`` or ``6.8.0-45-generic``
    :raises KernelMissing: if there is none
    """
    prefix = "vmlinuz-"
    versions = [name[len(prefix) :] for name in files.list_directory(root, "/boot") if name.startswith(prefix)]
    versions = [version for version in versions if not version.endswith((".old", ".dpkg-new", ".dpkg-tmp"))]
    strange = [version for version in versions if not _VERSION.fullmatch(version)]
    versions = [version for version in versions if version not in strange]
    if strange and not versions:
        raise KernelMissing(
            f"/boot/{prefix}{strange[0]} of the image has no name of a kernel", hint="a version is letters, digits and . + ~ _ -"
        )
    if not versions:
        raise KernelMissing(
            "the root has no /boot/vmlinuz-*", hint="let the base or the variation install a kernel: linux-image-cloud-amd64"
        )
    return max(versions, key=version_key)


def version_key(version: str) -> list[tuple[int, int, str]]:
    """Sorts 6.1.0-9 before 6.1.0-18, and a release candidate before its release."""
    parts = re.findall(r"[0-9]+|~|[^0-9~]+", version)
    keys = [(-2, 0, "") if part == "~" else (1, int(part), "") if part[0] in "0123456789" else (0, 0, part) for part in parts]
    return [*keys, (-1, 0, "")]  # the end of a version: after ~, before all else


def find_boot_files(root: StrPath) -> tuple[str, str, str]:
    """What to copy out: ``(version, kernel path, ramdisk path)``, paths in the image.

    :raises KernelMissing, RamdiskMissing: naming the version
    """
    version = newest_kernel(root)
    kernel = f"/boot/vmlinuz-{version}"
    size = _bytes_of(root, kernel)
    if not size:
        raise KernelMissing(f"{kernel} of the image is empty or no file", hint="reinstall the kernel's package in the variation")
    if size > _LARGEST_KERNEL:
        raise KernelMissing(f"{kernel} of the image has {size} bytes: that is no kernel", hint="reinstall the kernel's package")
    for ramdisk in (f"/boot/initrd.img-{version}", f"/boot/initrd-{version}"):
        size = _bytes_of(root, ramdisk)
        if size > _LARGEST_RAMDISK:
            raise RamdiskMissing(f"{ramdisk} of the image has {size} bytes: that is no ramdisk", hint="run update-initramfs -u")
        if size:
            return version, kernel, ramdisk
    raise RamdiskMissing(
        f"the root has no ramdisk for its kernel {version}", hint="install initramfs-tools in the base or the variation"
    )


def _bytes_of(root: StrPath, path: str) -> int:
    """The size of the regular file that the path leads to inside the image; 0 where there is none."""
    try:
        with files.opened(root, path, os.O_PATH) as descriptor:
            facts = os.fstat(descriptor)
    except (FileNotFoundError, NotADirectoryError):
        return 0
    return facts.st_size if stat.S_ISREG(facts.st_mode) else 0


def needs_modules_of_this_machine(root: StrPath) -> str:
    """Whether update-initramfs takes only the drivers of the machine that it runs on, and which file says so.

    :returns: the path in the image of the file with ``MODULES=dep``, or an empty string; the last file that names MODULES counts
    """
    paths = ["/etc/initramfs-tools/initramfs.conf"]
    for directory in _CONFIGURATIONS:
        paths += [
            f"{directory}/{name}" for name in sorted(files.list_directory(root, directory)) if re.fullmatch(r"[\w.-]+", name)
        ]
    says = ""
    for path in paths:
        if files.is_file(root, path):
            for value in re.findall(r"^\s*MODULES=[\"']?(\w+)", files.read_text(root, path, ""), re.MULTILINE):
                says = path if value == "dep" else ""
    return says


def copy_boot_files(root: StrPath, kernel_target: Path, ramdisk_target: Path, changes: Path | None = None) -> str:
    """Copy kernel and ramdisk out of the image.

    :param kernel_target: new file
    :param ramdisk_target: new file
    :param changes: the directory of what the build changed, to see whether the ramdisk was made here
    :returns: their version
    :raises RamdiskMissing: also if the ramdisk was made here, with the drivers of this machine only
    """
    version, kernel, ramdisk = find_boot_files(root)
    path = needs_modules_of_this_machine(root)
    if path and changes and files.is_file(changes, ramdisk):
        raise RamdiskMissing(
            f"the ramdisk {ramdisk} has the drivers of this builder only: MODULES=dep in {path}",
            hint="say MODULES=most there, and run update-initramfs -u after it",
        )
    files.copy_out(root, kernel, kernel_target)
    files.copy_out(root, ramdisk, ramdisk_target)
    return version
