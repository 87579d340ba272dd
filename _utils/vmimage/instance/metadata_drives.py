"""Userdata that lies on this machine: on a drive that the cloud attached, in a directory, or where cloud-init left its copy.

A drive is read in a mount namespace of its own; no file is followed out of it, or out of the machine's own root directory.
"""

import os
import stat
import tempfile
from dataclasses import dataclass

from vmimage.errors import BuildDied, CommandFailed, ProgramMissing, RootHostile
from vmimage.instance.metadata_source import Found, Trouble, check_size
from vmimage.root import files
from vmimage.settings.strict_yaml import LIMIT_BYTES
from vmimage.system.namespace import run_privately
from vmimage.system.shell import run

_BLKID_FOUND_NONE = 2


@dataclass(frozen=True)
class _Drive:
    """A kind of disk that holds userdata.

    :ivar tuple labels: of its file system
    :ivar tuple files: where the userdata may be, the first that there is
    :ivar tuple marks: what else tells that it is such a disk
    """

    labels: tuple
    files: tuple
    marks: tuple


_CONFIG_DRIVE = _Drive(("config-2", "CONFIG-2"), ("openstack/latest/user_data", "ec2/latest/user-data"), ("openstack", "ec2"))
_NOCLOUD = _Drive(("cidata", "CIDATA"), ("user-data",), ("meta-data",))


def read_config_drive(machine):
    """OpenStack's config drive."""
    return _read_drive(_CONFIG_DRIVE, machine)


def read_nocloud(machine):
    """The disk of NoCloud, or its directory."""
    for directory in ("var/lib/cloud/seed/nocloud", "var/lib/cloud/seed/nocloud-net"):
        data = _read_file(machine.top, f"{directory}/user-data", f"/{directory}/user-data")
        if data is not None:
            return Found(data, f"/{directory}/user-data")
    return _read_drive(_NOCLOUD, machine)


def _read_drive(drive, machine):
    """What the first disk of this kind holds."""
    for device in _find_devices(drive.labels, machine.top):
        found = _read_privately(drive, device)
        if found:
            return found
    return None


def _find_devices(labels, top):
    """The block devices with one of these labels: by udev's links, or where it made none, by a look at every disk."""
    links = [os.path.join(top, "dev/disk/by-label", label) for label in labels]
    linked = [os.path.realpath(link) for link in links if os.path.exists(link)]
    return list(dict.fromkeys(linked or [device for label in labels for device in _ask_blkid(label)]))


def _ask_blkid(label):
    argv = ["blkid", "-c", "/dev/null", "-o", "device", "-t", f"LABEL={label}"]
    try:
        return run(argv, ok=(0, _BLKID_FOUND_NONE)).output.split()
    except (CommandFailed, ProgramMissing) as error:
        raise Trouble(f"the disks cannot be looked at: {_reason(error)}") from None


def _read_privately(drive, device):
    if os.geteuid() != 0:
        raise Trouble(f"{device} can be mounted by root alone")
    try:
        with tempfile.TemporaryDirectory(prefix="vm_create-userdata-") as point:
            return run_privately(lambda: _read_device(drive, device, point))
    except (CommandFailed, ProgramMissing, BuildDied, OSError) as error:
        raise Trouble(f"{device} cannot be read: {_reason(error)}") from None


def _reason(error):
    """The first line that a program printed, or what an error says."""
    return (getattr(error, "output", "").strip() or getattr(error, "message", "") or str(error)).splitlines()[0]


def _read_device(drive, device, point):
    """In a mount namespace of its own: whatever ends it takes the mount away."""
    run(["mount", "-o", "ro,nosuid,nodev,noexec", device, point])
    for path in drive.files:
        data = _read_file(point, path, f"{path} of {device}")
        if data is not None:
            return Found(data, f"{path} of {device}")
    return Found(b"", device) if any(files.exists(point, mark) for mark in drive.marks) else None


def read_cloud_init(machine):
    """What cloud-init found; only if it ran since the machine was started, for an image may carry what another instance found."""
    directory = "var/lib/cloud/instance"
    if not files.exists(machine.top, "run/cloud-init/instance-data.json"):
        return None
    data = _read_file(machine.top, f"{directory}/user-data.txt", f"/{directory}/user-data.txt")
    if data is None:
        return None
    datasource = _read_file(machine.top, f"{directory}/datasource", f"/{directory}/datasource") or b"DataSourceNone"
    return Found(data, f"/{directory}/user-data.txt", sure=b"DataSourceNone" not in datasource)


def _read_file(top, path, where):
    """The content of a regular file, or None where there is none."""
    try:
        with files.opened(top, path, os.O_RDONLY | os.O_NONBLOCK) as descriptor:  # of a fifo, that waits for nobody
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
