"""The same variation on every kind of base, each made here from the bootstrapped base."""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from booting import HANGS_SECONDS
from building import PROJECT
from changeable import changeable
from looking import looked_into
from vmimage.image import qemu
from vmimage.image.triplet import Triplet
from vmimage.root.mounts import mounted

VARIATION = """
the mark is there:
  file.managed:
    - name: /etc/mark
    - contents: {{ grains["os"] }} {{ grains["osrelease"] }} {{ grains["oscodename"] }}
"""
MIB = 1 << 20


def run(*argv, **options):
    return subprocess.run(argv, check=True, capture_output=True, **options)


def hashed(path):
    with open(path, "rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


@pytest.fixture
def salt(salt):
    """A minion with a cache of its own: a base of one test is of no use to another."""
    salt.configure(**{"ami.cache": str(salt.directory / "cache")})
    return salt


@pytest.fixture
def root_image(light):
    """The root of the light base as a plain ext4 image, to be read."""
    return Path(light["ami.base"])


def make_disk(target, label, *partitions):
    """A raw disk with a partition table.

    :param partitions: ``(its type, the image of its file system)``
    """
    filesystems = [image for _, image in partitions]
    sizes = [image.stat().st_size // MIB for image in filesystems]
    with open(target, "wb") as disk:
        disk.truncate((sum(sizes) + 4) * MIB)
    lines = [f"size={size}M, type={kind}" for size, (kind, _) in zip(sizes, partitions, strict=True)]
    run("sfdisk", target, input="\n".join([f"label: {label}", *lines, ""]).encode())
    starts = [
        partition["start"] * 512
        for partition in json.loads(run("sfdisk", "--json", target).stdout)["partitiontable"]["partitions"]
    ]
    for image, start in zip(filesystems, starts, strict=True):
        run("dd", f"if={image}", f"of={target}", "bs=1M", "conv=notrunc,sparse", "oflag=seek_bytes", f"seek={start}")
    return target


def as_gpt_qcow2(root_image, directory):
    disk = make_disk(directory / "disk.raw", "gpt", ("4f68bce3-e8cd-4db1-96e7-fbcaf984b709", root_image))
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk, directory / "base.qcow2")
    return directory / "base.qcow2"


def as_mbr_disk(root_image, directory):
    return make_disk(directory / "base.raw", "dos", ("83, bootable", root_image))


def as_tar_xz(root_image, directory):
    point = directory / "point"
    point.mkdir()
    with mounted(root_image, point, "ro"):
        run("tar", "-C", point, "-c", "-f", directory / "base.tar.xz", "-I", "xz -T0 -0", "--xattrs", "--xattrs-include=*", ".")
    return directory / "base.tar.xz"


def as_tar_of_disk(root_image, directory):
    make_disk(directory / "disk.raw", "gpt", ("linux", root_image))
    run("tar", "-C", directory, "-c", "-S", "-f", directory / "base.tar.zst", "-I", "zstd -T0 -1", "disk.raw")
    return directory / "base.tar.zst"


def as_raw(root_image, directory):
    return root_image


@pytest.mark.parametrize("make", [as_gpt_qcow2, as_mbr_disk, as_tar_xz, as_tar_of_disk, as_raw])
def test_a_base_becomes_a_triplet(make, salt, root_image):
    base = make(root_image, salt.directory)
    before = hashed(base)
    variation = salt.variation("mark", variation=VARIATION)
    salt.good("vm_create.create_variation", name="mark", variation=variation, base=str(base), base_hash=before, update=False)
    manifest = salt.manifest("mark")
    assert manifest["base"]["digest"] == before == hashed(base), "the base was changed"
    with looked_into(salt.output / "mark.img") as root:
        assert (root / "etc/mark").read_text(encoding="utf-8").split() == ["Debian", "12", "bookworm"]
        assert (root / "etc/fstab").read_text(encoding="utf-8").split()[:2] == ["LABEL=root", "/"]


@pytest.fixture(scope="module")
def ubuntu_shaped(bootstrapped, tmp_path_factory):
    """A disk laid out as Ubuntu's: a root named cloudimg-rootfs, /boot on a partition of its own, an EFI line, a -generic kernel."""
    directory = tmp_path_factory.mktemp("ubuntu")
    point, boot = directory / "point", directory / "boot"
    point.mkdir(), boot.mkdir()
    image = directory / "root.img"
    with changeable(bootstrapped.image, directory / "work") as root:
        run("bash", "-e", PROJECT / "tests/cases/small-root.sh", cwd=root)
        run("mke2fs", "-q", "-F", "-t", "ext4", "-L", "cloudimg-rootfs", "-d", root, image, "500M")
    with mounted(image, point):
        release = 'NAME="Ubuntu"\nID=ubuntu\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\nPRETTY_NAME="Ubuntu 24.04 LTS"\n'
        (point / "usr/lib/os-release").write_text(release, encoding="utf-8")
        (point / "etc/fstab").write_text(
            "LABEL=cloudimg-rootfs\t/\text4\tdiscard,errors=remount-ro,x-systemd.growfs\t0 1\n"
            "LABEL=BOOT\t/boot\text4\tdefaults\t0 2\nLABEL=UEFI\t/boot/efi\tvfat\tumask=0077\t0 1\n",
            encoding="utf-8",
        )
        for kind in ("vmlinuz", "initrd.img"):
            old = next((point / "boot").glob(f"{kind}-*"))
            shutil.copy(old, boot / f"{kind}-6.8.0-45-generic")
            old.unlink()
    run("mke2fs", "-q", "-F", "-t", "ext4", "-L", "BOOT", "-d", boot, directory / "boot.img", "100M")
    boot_partition = "bc13c2ff-59e6-4262-a352-b275fd6f7172", directory / "boot.img"
    disk = make_disk(directory / "disk.raw", "gpt", ("linux", image), boot_partition)
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk, directory / "ubuntu.img")
    yield directory / "ubuntu.img"
    shutil.rmtree(directory)


def grown_to(triplet):
    """The bytes of the root of a triplet that has booted to its login prompt, as the kernel tells them when it has grown."""
    grown = r"resized filesystem to (\d+)"

    def is_up(console):
        return "login:" in console and re.search(grown, console)

    with qemu.booted(triplet, is_up, HANGS_SECONDS) as up:
        return int(re.search(grown, qemu.read_console(up.console))[1]) * 4096


def test_a_base_laid_out_as_ubuntus_becomes_a_triplet_that_boots(salt, ubuntu_shaped):
    variation = salt.variation("mark", variation=VARIATION)
    (salt.directory / "SHA256SUMS").write_text(f"{hashed(ubuntu_shaped)[7:]} *ubuntu.img\n", encoding="utf-8")
    salt.good("vm_create.create_variation", name="mark", variation=variation, base=str(ubuntu_shaped),
              base_hash=str(salt.directory / "SHA256SUMS"), update=False)  # fmt: skip
    manifest = salt.manifest("mark")
    assert manifest["files"]["kernel"]["version"] == "6.8.0-45-generic"
    assert manifest["file_system"]["label"] == "cloudimg-rootfs"
    with looked_into(salt.output / "mark.img") as root:
        assert (root / "etc/mark").read_text(encoding="utf-8").split() == ["Ubuntu", "24.04", "noble"]
        mounts = [
            line.split()[:2] for line in (root / "etc/fstab").read_text(encoding="utf-8").splitlines() if not line.startswith("#")
        ]
        assert mounts == [["LABEL=cloudimg-rootfs", "/"]]
    assert 18000 * MIB < grown_to(Triplet(salt.output, "mark"))


def test_a_qcow2_with_a_backing_file_is_refused(salt, root_image):
    thief = salt.directory / "thief.qcow2"
    run("qemu-img", "create", "-f", "qcow2", "-F", "raw", "-b", root_image, thief)
    said = salt.bad(
        "vm_create.create_variation",
        variation=salt.variation("mark", variation=VARIATION),
        base=str(thief),
        base_hash=hashed(thief),
    )
    assert "has a backing file" in said


def test_a_release_that_the_archives_do_not_have_is_named(salt):
    settings = {"name": "mark", "variation": salt.variation("mark", variation=VARIATION), "cache": str(salt.directory / "cache")}
    said = salt.bad("vm_create.create_variation", release="nosuch", **settings)
    assert "there is no debian nosuch at " in said and "ami.release is the code name" in said
    assert "--aptopt" not in said and "did you mean trixie?" in salt.bad("vm_create.plan", release="trixi", **settings)


def test_a_base_from_the_file_roots_is_verified_by_the_checksum_file_beside_it(salt, root_image):
    (salt.states / "base.img").symlink_to(root_image)
    settings = {"base": "salt://base.img", "variation": salt.variation("mark", variation=VARIATION)}
    code, _, said = salt.call("vm_create.plan", **settings)
    assert code != 0 and "nothing tells the digest" in said and "Unable to cache" not in said
    (salt.states / "SHA256SUMS").write_text(f"{hashed(root_image)[7:]}  base.img\n", encoding="utf-8")
    assert salt.good("vm_create.plan", **settings)["base"]["verified"] == "sha256 from SHA256SUMS"


def test_a_link_in_boot_of_a_base_leads_nothing_out_of_it(salt, root_image, tmp_path):
    victim, image, boot = tmp_path / "victim", tmp_path / "root.img", tmp_path / "boot"
    victim.write_text("of the machine", encoding="utf-8")
    run("cp", "--sparse=always", root_image, image)
    (tmp_path / "point").mkdir(), boot.mkdir()
    with mounted(image, tmp_path / "point") as point:
        (point / "boot/vmlinuz-1").symlink_to(victim)
        (point / "etc/fstab").write_text("LABEL=root / ext4 defaults 0 1\nLABEL=BOOT /boot ext4 defaults 0 2\n", encoding="utf-8")
    (boot / "vmlinuz-1").write_text("from the boot partition", encoding="utf-8")
    run("mke2fs", "-q", "-F", "-t", "ext4", "-L", "BOOT", "-d", boot, tmp_path / "boot.img", "20M")
    disk = make_disk(tmp_path / "disk.raw", "gpt", ("linux", image), ("linux", tmp_path / "boot.img"))
    variation = salt.variation("mark", variation=VARIATION)
    said = salt.bad(
        "vm_create.create_variation", name="mark", variation=variation, base=str(disk), base_unverified=True, update=False
    )
    assert "no ramdisk for its kernel 1" in said
    assert victim.read_text(encoding="utf-8") == "of the machine"
