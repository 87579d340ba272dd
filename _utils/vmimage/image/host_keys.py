"""Host keys of an image's sshd: none is in it, so something in it must make them at the first boot."""

import os
from collections.abc import Iterator

from vmimage.root import files
from vmimage.system.aliases import StrPath

PATH = "/etc/systemd/system/ssh-host-keys.service"
TEXT = (
    "[Unit]\nDescription=Make the host keys of ssh that are missing\nBefore=ssh.service\n"
    "ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key\n\n"
    "[Service]\nType=oneshot\nExecStart=/usr/bin/ssh-keygen -A\n\n"
    "[Install]\nWantedBy=multi-user.target\n"
)
_UNITS = "/etc/systemd/system"
_LINK = f"{_UNITS}/multi-user.target.wants/{os.path.basename(PATH)}"


def lacks_maker(root: StrPath) -> bool:
    """Whether the root has an sshd without host keys, and nothing known that makes them at boot.

    Known are cloud-init, where it is enabled, and enabled units or their drop-ins that call ssh-keygen or reconfigure
    openssh-server.  What else there may be does no harm: our unit makes only what is missing.
    """
    if not files.exists(root, "/usr/sbin/sshd") or files.match(root, "/etc/ssh/ssh_host_*_key"):
        return False
    return not _has_cloud_init(root) and not any(_makes_keys(root, unit) for unit in _enabled_units(root))


def add_maker(root: StrPath) -> list[str]:
    """Give the root a unit that makes its host keys at boot, before sshd starts; returns the paths written."""
    files.make_directory(root, os.path.dirname(_LINK))
    files.write_text(root, PATH, TEXT)
    if files.lstat(root, _LINK) is None:
        files.make_link(root, _LINK, PATH)
    return [PATH, _LINK]


def _has_cloud_init(root: StrPath) -> bool:
    is_there = files.exists(root, "/usr/bin/cloud-init") and not files.exists(root, "/etc/cloud/cloud-init.disabled")
    return is_there and bool(files.match(root, f"{_UNITS}/*.wants/cloud-init*"))


def _enabled_units(root: StrPath) -> Iterator[str]:
    yield from files.match(root, f"{_UNITS}/*.wants/*.service")
    yield from files.match(root, f"{_UNITS}/ssh*.service.d/*.conf")
    yield from files.match(root, f"{_UNITS}/ssh*.service")


def _makes_keys(root: StrPath, unit: str) -> bool:
    if not files.is_file(root, unit):
        return False
    starts = [line for line in files.read_text(root, unit, "").splitlines() if line.startswith("Exec")]
    return any("ssh-keygen" in line or "openssh-server" in line for line in starts)
