"""Disks and other outputs by the real programs: what other programs find in them."""

import json
import os
import subprocess

import pytest
from oslo_utils.imageutils import format_inspector
from vmimage.image import disk, outputs
from vmimage.image.loader import Loader, esp_identity, fit_root
from vmimage.image.triplet import Triplet
from vmimage.settings.gather import gather_settings

pytestmark = pytest.mark.needs("sfdisk", "mkfs.fat", "mmd", "mcopy", "qemu-img", "mke2fs")
UUID = "0b1fe1d1-3e0c-4d1c-9d4b-6c1f1f1b2c3d"
FILES = {
    "boot.img": b"B" * 512,
    "core.img": b"\0" * 510 + b"\x20\x08" + b"\0" * 1000,
    "shim.efi": b"shim",
    "grub.efi": b"grub",
    "grub.cfg": b"cfg",
}
BIOS, ESP, ROOT = 14, 15, 1
MIB = 1 << 20


def said(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def loader(tmp_path):
    directory = tmp_path / "loader"
    directory.mkdir()
    for name, content in FILES.items():
        (directory / name).write_bytes(content)
    return Loader(str(directory), UUID, "debian", "x64", ["bios", "uefi"], True)


@pytest.fixture
def triplet(tmp_path):
    """A root image in the making."""
    triplet = Triplet(tmp_path / "images", "web")
    triplet.directory.mkdir()
    (tmp_path / "files").mkdir()
    (tmp_path / "files/random").write_bytes(os.urandom(3 * MIB))
    image = triplet.partial("root_image")
    said("mke2fs", "-q", "-t", "ext4", "-U", UUID, "-d", tmp_path / "files", image, "20M")
    return triplet


def make(triplet, loader, scratch, **settings):
    settings = gather_settings([], {"name": "web", **settings})
    lines = []
    found = outputs.make_outputs(settings, triplet, loader, scratch / "scratch", lines.append)
    assert len(lines) == len(found)
    return {kind: triplet.output_partial(facts["path"]) for kind, facts in found.items()}, found


def test_sfdisk_finds_the_three_partitions_and_nothing_to_complain_about(triplet, loader, tmp_path):
    raw = make(triplet, loader, tmp_path, outputs=["ec2"])[0]["ec2"]
    table = json.loads(said("sfdisk", "--json", raw))["partitiontable"]
    assert table["label"] == "gpt"
    found = {
        part["node"].removeprefix(str(raw)).lstrip("p"): (part["start"], part["size"], part["type"])
        for part in table["partitions"]
    }
    assert found == {
        str(BIOS): (2048, 2048, "21686148-6449-6E6F-744E-656564454649"),
        str(ESP): (4096, 64 * 2048, "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"),
        str(ROOT): (66 * 2048, 20 * 2048, "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"),
    }
    assert "No errors detected" in said("sfdisk", "--verify", raw)


def test_the_root_is_in_the_disk_byte_for_byte_and_zeros_take_no_room(triplet, loader, tmp_path):
    raw = make(triplet, loader, tmp_path, outputs=["ec2"])[0]["ec2"]
    image = triplet.partial("root_image").read_bytes()
    with open(raw, "rb") as file:
        file.seek(disk.ROOT_AT)
        assert file.read(len(image)) == image
    assert raw.stat().st_blocks * 512 < raw.stat().st_size // 2
    assert raw.stat().st_mode & 0o777 == 0o600


def test_the_efi_system_is_a_fat32_in_which_the_firmware_finds_shim_and_shim_finds_grub(triplet, loader, tmp_path):
    raw = make(triplet, loader, tmp_path, outputs=["ec2"])[0]["ec2"]
    place = f"{raw}@@{2 * MIB}"
    for path, content in (("BOOT/BOOTX64.EFI", "shim"), ("BOOT/grubx64.efi", "grub"), ("debian/grub.cfg", "cfg")):
        assert said("mtype", "-i", place, f"::/EFI/{path}") == content
    with open(raw, "rb") as file:
        file.seek(2 * MIB)
        sector = file.read(512)
    assert sector[82:90] == b"FAT32   " and not any(sector[446:510])  # with partitions in there GRUB would take it for a disk
    assert f"{int.from_bytes(sector[67:71], 'little'):08X}" == esp_identity(UUID).replace("-", "")


@pytest.mark.parametrize("compression", ["zstd", "zlib", "none"])
def test_a_qcow2_holds_the_same_disk_and_says_how_it_is_compressed(triplet, loader, tmp_path, compression):
    paths, facts = make(triplet, loader, tmp_path, outputs=["bare", "disk", "ec2"], compression=compression)
    said("qemu-img", "compare", "-f", "raw", "-F", "qcow2", paths["ec2"], paths["disk"])
    said("qemu-img", "compare", "-f", "raw", "-F", "qcow2", triplet.partial("root_image"), paths["bare"])
    for kind in ("bare", "disk"):
        info = json.loads(said("qemu-img", "info", "--output=json", paths[kind]))
        assert info["format-specific"]["data"]["compression-type"] == ("zstd" if compression == "zstd" else "zlib")
        assert info["virtual-size"] == facts[kind]["virtual_bytes"] and "backing-filename" not in info
    assert paths["disk"].stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("kind", "settings", "format"), [
    ("disk", {}, "qcow2"), ("disk", {"disk_format": "raw"}, "gpt"), ("bare", {}, "qcow2"), ("bare", {"disk_format": "raw"}, "raw")
])  # fmt: skip
def test_the_inspection_of_nova_and_glance_finds_what_it_is_and_that_it_is_safe(
    triplet, loader, tmp_path, kind, settings, format
):
    path = make(triplet, loader, tmp_path, outputs=[kind], **settings)[0][kind]
    inspector = format_inspector.detect_file_format(path)
    assert str(inspector) == format
    inspector.safety_check()


def test_only_what_is_asked_for_is_left(triplet, loader, tmp_path):
    make(triplet, loader, tmp_path, outputs=["disk", "bare"])
    assert {path.name for path in triplet.directory.iterdir()} == {
        "web.img.partial", "web.disk.qcow2.partial", "web.bare.qcow2.partial"
    }  # fmt: skip


def test_a_disk_that_is_raw_is_the_same_file_for_ec2(triplet, loader, tmp_path):
    paths, facts = make(triplet, loader, tmp_path, outputs=["disk", "ec2"], disk_format="raw")
    assert paths["disk"] == paths["ec2"] and facts["disk"] == facts["ec2"]
    assert facts["disk"]["firmware"] == ["bios", "uefi"] and facts["disk"]["secure_boot"] is True


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", " console=tty0 console=ttyS0,115200 net.ifnames=0"),
        ("console=ttyS0,9600 quiet", "console=ttyS0,9600 quiet net.ifnames=0"),
    ],
    ids=["no console", "a console of its own"],
)
def test_grubs_settings_name_consoles_where_the_root_names_none(root, before, after):
    fit_root(root, "x86_64", UUID, "net.ifnames=0")
    path = root / "etc/default/grub.d/50-disk.cfg"
    line = said(
        "sh", "-c", f"GRUB_TIMEOUT=5; GRUB_CMDLINE_LINUX='{before}'; . {path}; echo \"$GRUB_CMDLINE_LINUX|$GRUB_TIMEOUT\""
    )
    assert line == f"{after}|1\n"
