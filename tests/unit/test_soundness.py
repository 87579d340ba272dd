import os

import pytest
from vmimage.errors import BaseRefused, ImageUnsound
from vmimage.root.soundness import check_bootable, check_files

pytestmark = pytest.mark.usefixtures("confining_kernel")


@pytest.fixture
def bootable(root, tree):
    """A root as Debian has it: what is in /bin and /sbin is in /usr, and init is a link."""
    files = {
        "bin": "-> usr/bin",
        "sbin": "-> usr/sbin",
        "usr/bin/dash": "x",
        "usr/bin/sh": "-> dash",
        "usr/sbin/init": "-> /usr/lib/systemd",
    }
    tree(
        root,
        {**files, "usr/lib/systemd": "x", "etc/fstab": "LABEL=root / ext4 defaults 0 1\n", "etc/resolv.conf": "-> ../run/none"},
    )
    for name in ("usr/bin/dash", "usr/lib/systemd"):
        (root / name).chmod(0o755)
    return root


def test_a_root_with_init_shell_and_a_root_by_its_label_is_bootable(bootable):
    check_bootable(bootable)


@pytest.mark.hostile("what does not boot", refused=True)
@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("usr/bin/dash", "no shell: /bin/sh"),
        ("bin", "no shell: /bin/sh"),
        ("usr/lib/systemd", "no init: /sbin/init"),
        ("sbin", "no init"),
    ],
)
def test_what_a_machine_cannot_boot_without_is_named(bootable, gone, words):
    (bootable / gone).unlink()
    with pytest.raises(ImageUnsound, match=words):
        check_bootable(bootable)


@pytest.mark.hostile("what does not boot", refused=True)
def test_a_shell_that_nobody_can_execute_is_none(bootable):
    (bootable / "usr/bin/dash").chmod(0o644)
    with pytest.raises(ImageUnsound, match="no shell"):
        check_bootable(bootable)


@pytest.mark.hostile("what does not boot", refused=True)
@pytest.mark.parametrize("name", ["PARTUUID=7c1a6b8e-01", "/dev/sda1", "/dev/nvme0n1p1", "/dev/mapper/vg-root"])
def test_a_root_on_a_partition_is_refused(bootable, name):
    (bootable / "etc/fstab").write_text(f"{name} / ext4 defaults 0 1\n")
    with pytest.raises(ImageUnsound, match=f"mounts {name} at /"):
        check_bootable(bootable)


@pytest.mark.parametrize("name", ["UUID=0b1fe1d1-3e0c-4d1c-9d4b-6c1f1f1b2c3d", "/dev/vda", "/dev/xvda1", "/dev/root"])
def test_a_root_that_a_cloud_may_have_is_not(bootable, name):
    (bootable / "etc/fstab").write_text(f"{name} / ext4 defaults 0 1\n")
    check_bootable(bootable)


@pytest.mark.hostile("traps in a root", refused=True)
@pytest.mark.parametrize("path", ["etc/fstab", "etc/os-release", "etc/hostname", "etc/machine-id", "var/lib/dpkg/status"])
@pytest.mark.parametrize(("make", "words"), [(os.mkdir, "a directory"), (os.mkfifo, "a fifo")], ids=["a directory", "a fifo"])
def test_what_stands_where_a_file_belongs_is_named(bootable, path, make, words):
    (bootable / path).parent.mkdir(parents=True, exist_ok=True)
    (bootable / path).unlink(missing_ok=True)
    make(bootable / path)
    with pytest.raises(BaseRefused, match=f"/{path} of the image is {words}"):
        check_files(bootable)
    with pytest.raises(ImageUnsound, match=f"/{path} of the image is {words}"):
        check_bootable(bootable)


def test_a_giant_is_named(bootable):
    with open(bootable / "etc/os-release", "wb") as file:
        file.truncate(10 << 20)
    with pytest.raises(BaseRefused, match="/etc/os-release of the image has 10485760 bytes"):
        check_files(bootable)
