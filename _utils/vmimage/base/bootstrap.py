"""A base made from a mirror: a Debian or Ubuntu that boots in a cloud and does nothing else.

It has a kernel for clouds, an init, ssh, cloud-init for keys and userdata, DHCP on its first network card, and a root file
system that grows to its disk at boot.
"""

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

from vmimage.apt.sources import source_lines
from vmimage.errors import CommandFailed, SettingsWrong
from vmimage.image import host_keys, loader
from vmimage.root import files
from vmimage.root.apart import go_apart, show_processes
from vmimage.root.mounts import ROOT_ENVIRONMENT
from vmimage.settings.schema import Settings
from vmimage.system.aliases import Say, StrPath
from vmimage.system.confine import MOUNTING, TO_BOOTSTRAP, confine, filter_code
from vmimage.system.shell import check_installed, run

#: what goes into a base; plain data
Plan = dict[str, Any]

LABEL = "root"
_KERNEL = {"debian": "linux-image-cloud-{architecture}", "ubuntu": "linux-image-virtual"}
_KEYRING = {
    "debian": "/usr/share/keyrings/debian-archive-keyring.gpg",
    "ubuntu": "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
}
_PACKAGES = [
    "apt-utils",
    "ca-certificates",
    "cloud-init",
    "dbus",
    "e2fsprogs",
    "init",
    "initramfs-tools",
    "iproute2",
    "netbase",
    "openssh-server",
    "sudo",
    "systemd-resolved",
    "systemd-timesyncd",
    "udev",
    "zstd",
]
#: what systemd-resolved is part of before the release that made it a package of its own
_RESOLVED_INSIDE_SYSTEMD = {"bullseye", "focal", "jammy"}
_REPART_INSIDE_SYSTEMD = {"bullseye", "bookworm"}

_FILES = {
    # cloud-init would generate a locale at each first boot
    "/etc/cloud/cloud.cfg.d/80-locale.cfg": "locale: false\n",
    "/etc/default/locale": "LANG=C.UTF-8\n",
    "/etc/fstab": f"LABEL={LABEL} / ext4 defaults,errors=remount-ro,x-systemd.growfs 0 1\n",
    "/etc/hostname": "localhost\n",
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
    # the last in order: what cloud-init writes for the instance comes before it
    "/etc/systemd/network/90-dhcp.network": "[Match]\nName=en* eth*\n\n[Network]\nDHCP=yes\n",
    host_keys.PATH: host_keys.TEXT,
}
_ENABLED = ["systemd-networkd.service", "systemd-resolved.service", "ssh-host-keys.service", "ssh.service"]


def plan_bootstrap(settings: Settings, architecture: str) -> Plan:
    """Everything that goes into a bootstrapped base, as plain data: its digest is the key of the cache.

    :raises SettingsWrong: if the machine's apt has no source for it
    """
    resolved = [] if settings.release in _RESOLVED_INSIDE_SYSTEMD else ["systemd-resolved"]
    packages = sorted({*_PACKAGES, *settings.packages} - {"systemd-resolved"} | set(resolved) | _of_disk(settings, architecture))
    return {
        "format": 2,
        "type": settings.type,
        "release": settings.release,
        "architecture": architecture,
        "sources": source_lines(settings.release, settings.type, settings.mirror, Path(settings.cache) / "apt_sources.json"),
        "packages": [*packages, _KERNEL[settings.type].format(architecture=architecture)],
        "files": _FILES,
        "enabled": _ENABLED,
    }


def _of_disk(settings: Settings, architecture: str) -> set[str]:
    """What a disk is booted by and grows by; a triplet has no use for it."""
    if not settings.makes_disk:
        return set()
    packages = set(loader.PACKAGES.get((settings.type, architecture), ()))
    return packages - {"systemd-repart"} if settings.release in _REPART_INSIDE_SYSTEMD else packages


def digest_of_plan(plan: Plan) -> str:
    """The digest that stands for a bootstrapped base."""
    return "sha256:" + hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()


def bootstrap(plan: Plan, root: StrPath, say: Say) -> None:
    """Fill an empty, mounted file system.

    :param plan: of :func:`plan_bootstrap`
    :param root: the mounted directory
    :param say: called with each line of mmdebstrap
    :raises CommandFailed: with the end of mmdebstrap's output
    """
    keyring = _KEYRING[plan["type"]]
    argv = ["mmdebstrap", "--mode=root", "--variant=required", "--format=directory", "--skip=cleanup/reproducible"]
    argv += ["--architectures", plan["architecture"], "--include", ",".join(plan["packages"])]
    argv += ["--aptopt", 'APT::Install-Recommends "false"', "--dpkgopt", "force-unsafe-io"]
    argv += ["--keyring", keyring] if Path(keyring).exists() else []
    argv += ["--skip=check/empty"]  # a fresh file system has its lost+found
    check_installed("mmdebstrap")
    mounting = filter_code(*MOUNTING)
    apart = partial(go_apart, show_processes, lambda: confine(mounting, TO_BOOTSTRAP))
    try:
        run([*argv, plan["release"], root, *plan["sources"]], on_line=say, preexec=apart)
    except CommandFailed as error:
        if "NO_PUBKEY" in error.output:
            raise SettingsWrong(
                f"the keys of {plan['type']} {plan['release']} are not on this machine",
                hint=f"install the package that has {keyring}",
            ) from error
        raise
    _finish(plan, Path(root))


def _finish(plan: Plan, root: Path) -> None:
    """What a package manager does not do: fstab, names, DHCP, host keys at first boot."""
    for path, text in plan["files"].items():
        files.make_directory(root, str(Path(path).parent))
        files.write_text(root, path, text)
    code = filter_code()
    apart = partial(go_apart, show_processes, lambda: confine(code))
    run(["chroot", root, "systemctl", "enable", *plan["enabled"]], env=ROOT_ENVIRONMENT, preexec=apart)
    for path in files.match(root, "/etc/.resolv.conf*"):  # what systemd-resolved found when it was installed
        files.remove(root, path)
    files.remove(root, "/etc/resolv.conf")
    (root / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
