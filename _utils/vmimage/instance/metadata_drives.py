"""Userdata that lies on this machine: on a drive that the cloud attached, in a directory, or where cloud-init left its copy.

A drive is read in a mount namespace of its own; no file is followed out of it, or out of the machine's own root directory.
"""

import os
import stat
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass

from vmimage.errors import BuildDied, CommandFailed, ProgramMissing, RootHostile
from vmimage.instance.metadata_source import Found, Machine, Trouble, check_size
from vmimage.root import files
from vmimage.settings.strict_yaml import LIMIT_BYTES
from vmimage.system.aliases import StrPath
from vmimage.system.namespace import run_privately
from vmimage.system.shell import run

_BLKID_FOUND_NONE = 2


@dataclass(frozen=True)
class _Drive:
    """A kind of disk that contains userdata.

    :ivar labels: of its file system
    :ivar files: where the userdata may be; the first that exists counts
    :ivar marks: files by which such a disk without userdata is known
    """

    labels: tuple[str, ...]
    files: tuple[str, ...]
    marks: tuple[str, ...]


_CONFIG_DRIVE = _Drive(("config-2", "CONFIG-2"), ("openstack/latest/user_data", "ec2/latest/user-data"), ("openstack", "ec2"))
_NOCLOUD = _Drive(("cidata", "CIDATA"), ("user-data",), ("meta-data",))


def read_config_drive(machine: Machine) -> Found | None:
    """OpenStack's config drive."""
    return _read_drive(_CONFIG_DRIVE, machine)


def read_nocloud(machine: Machine) -> Found | None:
    """The disk of NoCloud, or its directory."""
    for directory in ("var/lib/cloud/seed/nocloud", "var/lib/cloud/seed/nocloud-net"):
        data = _read_file(machine.top, f"{directory}/user-data", f"/{directory}/user-data")
        if data is not None:
            return Found(data, f"/{directory}/user-data")
    return _read_drive(_NOCLOUD, machine)


def _read_drive(drive: _Drive, machine: Machine) -> Found | None:
    """The userdata of the first disk of this kind."""
    for device in _find_devices(drive.labels, machine.top):
        found = _read_privately(drive, device)
        if found:
            return found
    return None


def _find_devices(labels: Iterable[str], top: StrPath) -> list[str]:
    """The block devices with any of these labels: by udev's links, or where it made none, by a look at every disk."""
    links = [os.path.join(top, "dev/disk/by-label", label) for label in labels]
    linked = [os.path.realpath(link) for link in links if os.path.exists(link)]
    return list(dict.fromkeys(linked or [device for label in labels for device in _ask_blkid(label)]))


def _ask_blkid(label: str) -> list[str]:
    argv = ["blkid", "-c", "/dev/null", "-o", "device", "-t", f"LABEL={label}"]
    try:
        return run(argv, ok=(0, _BLKID_FOUND_NONE)).output.split()
    except (CommandFailed, ProgramMissing) as error:
        raise Trouble(f"the disks cannot be looked at: {_reason(error)}") from None


def _read_privately(drive: _Drive, device: str) -> Found | None:
    if os.geteuid() != 0:
        raise Trouble(f"{device} can be mounted by root alone")
    try:
        with tempfile.TemporaryDirectory(prefix="vm_create-userdata-") as point:
            return run_privately(lambda: _read_device(drive, device, point))
    except (CommandFailed, ProgramMissing, BuildDied, OSError) as error:
        raise Trouble(f"{device} cannot be read: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """The first line that a program printed, or the message of an error."""
    return (getattr(error, "output", "").strip() or getattr(error, "message", "") or str(error)).splitlines()[0]


def _read_device(drive: _Drive, device: str, point: str) -> Found | None:
    """To be called in a mount namespace of its own, with whose end the mount is gone."""
    run(["mount", "-o", "ro,nosuid,nodev,noexec", device, point])
    for path in drive.files:
        data = _read_file(point, path, f"{path} of {device}")
        if data is not None:
            return Found(data, f"{path} of {device}")
    return Found(b"", device) if any(files.exists(point, mark) for mark in drive.marks) else None


def read_cloud_init(machine: Machine) -> Found | None:
    """What cloud-init found; only if it ran since the machine was started, for an image may contain what another instance found."""
    directory = "var/lib/cloud/instance"
    if not files.exists(machine.top, "run/cloud-init/instance-data.json"):
        return None
    data = _read_file(machine.top, f"{directory}/user-data.txt", f"/{directory}/user-data.txt")
    if data is None:
        return None
    datasource = _read_file(machine.top, f"{directory}/datasource", f"/{directory}/datasource") or b"DataSourceNone"
    return Found(data, f"/{directory}/user-data.txt", sure=b"DataSourceNone" not in datasource)


def _read_file(top: StrPath, path: str, where: str) -> bytes | None:
    """The content of a regular file, or None where there is none."""
    try:
        with files.opened(top, path, os.O_RDONLY | os.O_NONBLOCK) as descriptor:  # opening a fifo does not wait
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Trouble(f"{where} is no regular file")
            with os.fdopen(os.dup(descriptor), "rb") as file:
                data = file.read(LIMIT_BYTES + 1)
        check_size(data, where)
        return data
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, RootHostile) as error:
        raise Trouble(f"{where} cannot be read: {_reason(error)}") from None
