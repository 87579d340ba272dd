"""The root of a real base, damaged as states could damage it: what a step of the build refuses, and by which name."""

import os
import socket

import pytest
from vmimage.apt.packages import list_packages
from vmimage.errors import VmImageError
from vmimage.image.boot_files import copy_boot_files
from vmimage.image.usage import measure_contents
from vmimage.root import files, fstab
from vmimage.root.overlay import close_root, mount_root, prepare_root
from vmimage.root.soundness import check_bootable
from vmimage.root.workspace import Workspace
from vmimage.system.namespace import run_privately
from vmimage.system.trees import fitting_paths, remove_tree


def giant(name, size):
    def make(root):
        path = root / name if "*" not in name else next(root.glob(name))
        path.unlink(missing_ok=True)
        with open(path, "wb") as file:
            file.truncate(size)

    return make


def written(name, text):
    return lambda root: (root / name).write_text(text, encoding="utf-8")


def added(name, text):
    def add(root):
        with open(root / name, "a", encoding="utf-8") as file:
            file.write(text)

    return add


def gone(*patterns):
    def remove(root):
        for path in [path for pattern in patterns for path in root.glob(pattern)]:
            remove_tree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    return remove


def instead(name, make):
    def replace(root):
        files.remove(root, name)
        make(root / name)

    return replace


def a_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        here = os.open(path.parent, os.O_PATH)
        made.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)


def renamed_kernels(to):
    def rename(root):
        for path in (root / "boot").glob("vmlinuz-*"):
            os.rename(path, os.fsencode(path.parent) + b"/vmlinuz-" + to)

    return rename


def deep(root):
    here = os.open(root / "srv", os.O_RDONLY)
    for _ in range(25):
        os.mkdir("d" * 200, dir_fd=here)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


KINDS = {
    "what does not boot": {
        "no shell": (gone("usr/bin/sh"), "no shell: /bin/sh"),
        "a shell that is empty": (instead("usr/bin/sh", lambda path: path.touch(0o755)), "no shell: /bin/sh"),
        "a shell that leads to the builder's": (instead("usr/bin/sh", lambda path: path.symlink_to("/proc/1/root/bin/sh")), "no shell"),
        "no /bin": (gone("bin"), "no shell: /bin/sh"),
        "no init": (gone("usr/sbin/init"), "no init: /sbin/init"),
        "an init that leads to nothing": (instead("usr/sbin/init", lambda path: path.symlink_to("/nowhere")), "no init"),
        "an init that nobody can execute": (instead("usr/sbin/init", lambda path: path.write_text("x")), "no init"),
        "an init that is a directory": (instead("usr/sbin/init", os.mkdir), "no init"),
        "no systemd": (gone("usr/lib/systemd/systemd"), "no init"),
        "no /boot": (gone("boot"), "no /boot/vmlinuz-"),
        "a /boot that leads out": (instead("boot", lambda path: path.symlink_to("/proc/1/root/boot")), "no /boot/vmlinuz-"),
        "no kernel": (gone("boot/vmlinuz-*"), "no /boot/vmlinuz-"),
        "no ramdisk": (gone("boot/initrd.img-*"), "no ramdisk for its kernel"),
        "the root on a partition": (written("etc/fstab", "/dev/sda1 / ext4 defaults 0 1\n"), "mounts /dev/sda1 at /"),
        "the root by a partition's id": (written("etc/fstab", "PARTUUID=x / ext4 defaults 0 1\n"), "mounts PARTUUID=x at /"),
        "the root on a logical volume": (written("etc/fstab", "/dev/mapper/a / ext4 defaults 0 1\n"), "mounts /dev/mapper/a at /"),
        "the root is called clear": (written("etc/fstab", "UUID=clear / ext4 defaults 0 1\n"), "names its root UUID=clear"),
        "the root is called random": (written("etc/fstab", "UUID=random / ext4 defaults 0 1\n"), "names its root UUID=random"),
        "the root has a name of 17 bytes": (written("etc/fstab", "LABEL=12345678901234567 / ext4 x 0 1\n"), "names its root LABEL="),
        "the root has no name": (written("etc/fstab", "LABEL= / ext4 defaults 0 1\n"), "names its root LABEL="),
        "the root is an escape sequence": (
            written("etc/fstab", "UUID=\x1b]52;c;eA==\x07 / ext4 defaults 0 1\n"), r"names its root UUID=\\x1b\]52"),
        "no database of packages": (gone("var/lib/dpkg/status"), "no /var/lib/dpkg/status"),
        "a package without a name": (added("var/lib/dpkg/status", "\nStatus: install ok installed\nVersion: 1\n"), "without Package"),
    },
    "giants": {
        "a kernel of 40 GB": (giant("boot/vmlinuz-*", 40 << 30), "/boot/vmlinuz-.* has 42949672960 bytes"),
        "a ramdisk of 40 GB": (giant("boot/initrd.img-*", 40 << 30), "/boot/initrd.img-.* has 42949672960 bytes"),
        "an fstab of 60 GB": (giant("etc/fstab", 60 << 30), "/etc/fstab of the image has 64424509440 bytes"),
        "an os-release of 10 MB": (giant("usr/lib/os-release", 10 << 20), "os-release of the image has 10485760 bytes"),
        "a hostname of 15 TiB": (giant("etc/hostname", 15 << 40), "/etc/hostname of the image has 16492674416640 bytes"),
        "a machine-id of 2 MB": (giant("etc/machine-id", 2 << 20), "/etc/machine-id of the image has 2097152 bytes"),
        "a database of packages of 1 GB": (giant("var/lib/dpkg/status", 1 << 30), "/var/lib/dpkg/status of the image has"),
        "passwords of 1 TiB": (giant("etc/shadow", 1 << 40), "/etc/shadow of the image has"),
    },
    "names and output": {
        "a kernel that is no UTF-8": (renamed_kernels(b"6.1\xff"), r"/boot/vmlinuz-6.1\\xff"),
        "a kernel with an escape sequence": (renamed_kernels(b"\x1b]52;c;eA==\x07"), r"/boot/vmlinuz-\\x1b\]52"),
        "a kernel of two lines": (renamed_kernels(b"6\n1"), "no name of a kernel"),
        "a kernel that is an option": (renamed_kernels(b"--help"), "no name of a kernel"),
        "a kernel with markup": (renamed_kernels(b"<script>"), "no name of a kernel"),
        "a kernel without a version": (renamed_kernels(b""), "no name of a kernel"),
    },
    "traps in a root": {
        **{
            f"{what} as /{name}": (instead(name, make), f"/{name} of the image is {what}")
            for name in ("etc/hostname", "etc/machine-id", "etc/fstab", "etc/passwd", "etc/shadow", "etc/resolv.conf")
            for what, make in {"a fifo": os.mkfifo, "a directory": os.mkdir, "a socket": a_socket}.items()
        },
    },
    "deep trees": {"paths of 5,000 bytes": (deep, "too deep to be packed")},
}  # fmt: skip
CASES = [
    pytest.param(*case, id=name, marks=pytest.mark.hostile(kind, refused=True))
    for kind, cases in KINDS.items()
    for name, case in cases.items()
]


def made(root, out):
    """What post makes of a root, as far as it reads it."""
    with fitting_paths(root):
        copy_boot_files(root, out / "kernel", out / "ramdisk")
        check_bootable(root)
        fstab.names_of_root(files.read_text(root, "/etc/fstab", ""))
        measure_contents(root, list_packages(root))


@pytest.fixture
def base_of(bootstrapped, tmp_path):
    """Do something with an open root of the base, in a namespace that ends with it."""

    def do(damage):
        workspace, out = Workspace(tmp_path, "web"), tmp_path / "out"
        out.mkdir()

        def work():
            workspace.make()
            opened = prepare_root(workspace, bootstrapped.image, tmp_path / "root")
            mount_root(workspace, opened)
            try:
                damage(tmp_path / "root")
                made(tmp_path / "root", out)
            finally:
                close_root(workspace, opened)

        try:
            run_privately(work)
        finally:
            workspace.forget()

    return do


def test_the_base_itself_is_good(base_of):
    base_of(lambda root: None)


@pytest.mark.parametrize(("damage", "words"), CASES)
def test_a_damaged_root_is_refused_by_name(base_of, damage, words):
    with pytest.raises(VmImageError, match=words) as caught:
        base_of(damage)
    assert "\x1b" not in str(caught.value) and len(str(caught.value)) < 1000
