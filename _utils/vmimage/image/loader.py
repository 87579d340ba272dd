"""What boots a disk, taken from the root's own packages while the root is open, and what the root needs to go on as a disk.

For BIOS a core image is made by the root's GRUB; for UEFI shim and GRUB are copied as Debian or Ubuntu has signed them.  All of it is run or
read in the root.  Later updates are those of the root's packages: a new kernel writes ``/boot/grub/grub.cfg`` again, a new GRUB or shim
goes to the disk by the packages' own scripts.
"""

import os
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vmimage.errors import LoaderMissing
from vmimage.root import files, fstab
from vmimage.root.mounts import run_in_root
from vmimage.system.aliases import StrPath
from vmimage.system.trees import remove_tree

BIOS, UEFI = "bios", "uefi"
#: names of the files of a loader in its directory
BOOT, CORE, SHIM, GRUB, CONFIG = "boot.img", "core.img", "shim.efi", "grub.efi", "grub.cfg"

#: what a bootstrapped base gets for a disk, by distribution and Debian's name of the architecture
PACKAGES = {
    ("debian", "amd64"): ["grub-cloud-amd64", "systemd-repart"],
    ("debian", "arm64"): ["grub-efi-arm64", "grub-efi-arm64-signed", "shim-signed", "systemd-repart"],
    ("ubuntu", "amd64"): ["grub-pc", "grub-efi-amd64-signed", "shim-signed", "cloud-guest-utils"],
    ("ubuntu", "arm64"): ["grub-efi-arm64", "grub-efi-arm64-signed", "shim-signed", "cloud-guest-utils"],
}

_MKCONFIG, _CFG, _SIZES = "/usr/sbin/grub-mkconfig", "/boot/grub/grub.cfg", "/etc/repart.d/50-root.conf"
_SETTINGS = "/etc/default/grub.d/50-disk.cfg"
#: lets the scripts of grub-cloud write GRUB to the disk that they run on
_ENABLED = ("/var/lib/dpkg/info/grub-cloud-amd64.postinst", "/etc/grub.d/enable_cloud")
_GROWERS = ("/usr/bin/systemd-repart", "/bin/systemd-repart", "/usr/bin/growpart")
_LARGEST = 16 << 20
#: of BIOS, where GRUB finds no modules on the disk before grub-install has run there: all that a grub.cfg of Debian asks for
_MODULES = """all_video biosdisk configfile echo ext2 fat gettext gzio halt linux loadenv ls minicmd normal part_gpt part_msdos probe reboot regexp
    search search_fs_file search_fs_uuid search_label serial sleep terminal test true""".split()

_OF_GRUB = """# of the disk: its consoles, and the words of ami.kernel_command_line
case " $GRUB_CMDLINE_LINUX " in *" console={console}"*) ;; *) GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX console=tty0 console={console},115200" ;; esac
GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX{words}"
GRUB_TERMINAL="${{GRUB_TERMINAL:-console serial}}"
GRUB_SERIAL_COMMAND="${{GRUB_SERIAL_COMMAND:-serial --speed=115200}}"
[ "$GRUB_TIMEOUT" != 5 ] || GRUB_TIMEOUT=1
"""
_LEAD = """search.fs_uuid {uuid} root
set prefix=($root)/boot/grub
"""


@dataclass(frozen=True)
class _Machine:
    """Where the packages of an architecture have their loaders.

    :ivar bios: directory of GRUB's modules for BIOS, or empty
    :ivar ending: of the names of files that UEFI looks for
    """

    shim: str
    grub: str
    bios: str
    ending: str
    console: str
    packages: str


_MACHINES = {
    "x86_64": _Machine(
        "/usr/lib/shim/shimx64.efi.signed",
        "/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
        "/usr/lib/grub/i386-pc",
        "x64",
        "ttyS0",
        "grub-cloud-amd64 (Ubuntu: grub-pc, grub-efi-amd64-signed and shim-signed)",
    ),
    "aarch64": _Machine(
        "/usr/lib/shim/shimaa64.efi.signed",
        "/usr/lib/grub/arm64-efi-signed/grubaa64.efi.signed",
        "",
        "aa64",
        "ttyAMA0",
        "grub-efi-arm64, grub-efi-arm64-signed and shim-signed",
    ),
}


@dataclass(frozen=True)
class Loader:
    """What was taken out of the root to boot its disk.

    :ivar directory: where its files are
    :ivar uuid: of the root's file system
    :ivar vendor: the directory of the EFI system in which the signed GRUB looks for its configuration
    :ivar ending: of the names that UEFI looks for: x64, aa64
    :ivar firmware: that can boot the disk
    """

    directory: str
    uuid: str
    vendor: str
    ending: str
    firmware: list
    secure_boot: bool


def esp_identity(root_uuid: str) -> str:
    """The volume id of the EFI system of a disk with this root, as fstab writes it: ``1234-ABCD``."""
    digits = uuid.uuid5(uuid.UUID(root_uuid), "esp").hex[:8].upper()
    return f"{digits[:4]}-{digits[4:]}"


def check_root(root: StrPath, machine: str) -> None:
    """Refuse a root without the packages that a disk needs.

    :raises LoaderMissing: naming the file that is missing, and the packages
    """
    parts = _MACHINES[machine]
    wanted = [parts.shim, parts.grub, _MKCONFIG, *([f"{parts.bios}/boot.img"] if parts.bios else [])]
    missing = [path for path in wanted if not files.is_file(root, path)]
    if missing:
        raise LoaderMissing(
            f"the root cannot become a disk: it has no {missing[0]}",
            hint=f"install {parts.packages} in the base or the variation",
        )
    if not any(files.is_file(root, path) for path in _GROWERS):
        raise LoaderMissing(
            "the root cannot grow to its disk: it has neither systemd-repart nor growpart",
            hint="install systemd-repart, or cloud-guest-utils with cloud-init, in the base or the variation",
        )


def fit_root(root: StrPath, machine: str, root_uuid: str, words: str) -> None:
    """Let a root know that it is a partition of a disk: in its fstab, in GRUB's settings, and in what grows it.

    :param words: for the kernel's command line
    """
    old = files.read_text(root, "/etc/fstab", "")
    files.write_text(root, "/etc/fstab", fstab.fit_disk(old, root_uuid, esp_identity(root_uuid)))
    for path, text in _added_files(root, machine, words).items():
        files.make_directory(root, str(Path(path).parent))
        files.write_text(root, path, text)
    for directory in ("/boot/efi", "/boot/grub"):
        files.make_directory(root, directory)


def _added_files(root: StrPath, machine: str, words: str) -> dict[str, str]:
    added = {_SETTINGS: _OF_GRUB.format(console=_MACHINES[machine].console, words=f" {words}" if words else "")}
    if any(files.is_file(root, path) for path in _GROWERS[:2]):
        added[_SIZES] = "# the root takes all of its disk\n[Partition]\nType=root\n"
    postinst, flag = _ENABLED
    if files.is_file(root, postinst):
        added[flag] = ""
    return added


def take_loader(
    root: StrPath, machine: str, root_uuid: str, target: Path, inside: Callable[[Callable[[], None]], None]
) -> Loader:
    """Make GRUB's configuration in a root, and take what boots it out.

    :param root: an open root that :func:`fit_root` has seen
    :param target: a directory for the files, new
    :param inside: runs a callable where the API file systems of the root are mounted
    :raises LoaderMissing: if GRUB's scripts make a configuration that would not boot this root
    """
    parts = _MACHINES[machine]
    remove_tree(target) if target.exists() else None
    target.mkdir(parents=True, mode=0o700)
    lead = _LEAD.format(uuid=root_uuid)
    (target / CONFIG).write_text(f"{lead}configfile $prefix/grub.cfg\n", encoding="ascii")
    _take(root, parts.shim, target / SHIM)
    _take(root, parts.grub, target / GRUB)

    def work() -> None:
        run_in_root(root, [_MKCONFIG, "-o", _CFG])
        if parts.bios:
            files.write_text(root, "/tmp/lead.cfg", lead)
            argv = ["grub-mkimage", "-O", "i386-pc", "-d", parts.bios, "-p", "/boot/grub", "-c", "/tmp/lead.cfg"]
            run_in_root(root, [*argv, "-o", "/tmp/core.img", *_MODULES])
            _take(root, f"{parts.bios}/boot.img", target / BOOT)
            _take(root, "/tmp/core.img", target / CORE)

    inside(work)
    _check_configuration(root, root_uuid)
    return Loader(
        directory=str(target),
        uuid=root_uuid,
        vendor=_vendor(target / GRUB, parts.grub),
        ending=parts.ending,
        firmware=[*([BIOS] if parts.bios else []), UEFI],
        secure_boot=True,
    )


def _take(root: StrPath, path: str, target: Path) -> None:
    """Copy a file of a loader out of the root, if it has a size that such a file can have."""
    with files.opened(root, path, os.O_PATH) as descriptor:
        size = os.fstat(descriptor).st_size
    if size > _LARGEST:
        raise LoaderMissing(f"{path} of the image has {size} bytes: that is no boot loader", hint="reinstall its package")
    files.copy_out(root, path, target)


def _check_configuration(root: StrPath, root_uuid: str) -> None:
    text = files.read_text(root, _CFG, "")
    if not re.search(rf"^\s*linux\s+/boot/vmlinuz\S+ root=UUID={root_uuid}\s", text, re.MULTILINE):
        raise LoaderMissing(
            f"{_CFG} of the image has no entry that boots a kernel with root=UUID={root_uuid}",
            hint="see what /etc/default/grub and /etc/grub.d of the root say",
        )


def _vendor(grub: Path, path: str) -> str:
    """In which directory below EFI a signed GRUB looks for its configuration."""
    found = re.search(rb"/EFI/([a-z]+)\0", grub.read_bytes())
    if not found:
        raise LoaderMissing(f"{path} of the image does not say where it looks for grub.cfg", hint="reinstall its package")
    return found[1].decode()
