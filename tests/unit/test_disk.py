"""Where the parts of a disk are, and how its first sectors lead to each other."""

import re
import struct

import pytest
from vmimage.errors import ImageUnsound
from vmimage.image.disk import ROOT_AT, disk_bytes, install_bios, partition_table
from vmimage.image.loader import Loader, esp_identity

UUID = "0b1fe1d1-3e0c-4d1c-9d4b-6c1f1f1b2c3d"
MIB, SECTOR = 1 << 20, 512


def loader(ending="x64", firmware=("bios", "uefi"), uuid=UUID):
    return Loader("/nowhere", uuid, "debian", ending, list(firmware), True)


def parts(text):
    """``{number: (first MiB, MiB, name)}`` of a script for sfdisk."""
    found = re.findall(r"^(\d+): start=(\d+), size=(\d+),.* name=(\w+)$", text, re.MULTILINE)
    return {int(number): (int(start) * SECTOR // MIB, int(size) * SECTOR // MIB, name) for number, start, size, name in found}


def test_the_root_is_the_first_partition_by_number_and_the_last_on_the_disk():
    size = disk_bytes(100 * MIB)
    assert parts(partition_table(loader(), size)) == {14: (1, 1, "bios"), 15: (2, 64, "esp"), 1: (66, 100, "root")}
    assert size == (66 + 100 + 1) * MIB


@pytest.mark.parametrize("root_bytes", [100 * MIB - 4096, 99 * MIB + 4096])
def test_a_root_that_ends_within_a_mebibyte_has_room(root_bytes):
    size = disk_bytes(root_bytes)
    assert parts(partition_table(loader(), size))[1] == (ROOT_AT // MIB, 100, "root")


def test_a_disk_without_bios_has_no_partition_for_it():
    text = partition_table(loader("aa64", ["uefi"]), disk_bytes(MIB))
    assert sorted(parts(text)) == [1, 15]
    assert "type=B921B045-1DF0-41C3-AF44-4C6F280D3FAE" in text


def test_the_same_root_makes_the_same_table_and_another_root_another():
    size = disk_bytes(MIB)
    assert partition_table(loader(), size) == partition_table(loader(), size)
    other = UUID.replace("0b1f", "1b1f")
    assert not set(re.findall("uuid=\\S+", partition_table(loader(), size))) & set(
        re.findall("uuid=\\S+", partition_table(loader(uuid=other), size))
    )


def test_the_efi_system_has_an_id_that_fstab_can_name():
    assert re.fullmatch(r"[0-9A-F]{4}-[0-9A-F]{4}", esp_identity(UUID))
    assert esp_identity(UUID) == esp_identity(UUID)


def core(sectors=5, segment=0x820):
    image = bytearray(b"C" * max(SECTOR, sectors * SECTOR - 100))
    struct.pack_into("<QHH", image, SECTOR - 12, 1, 0, segment)
    return bytes(image)


BOOT = b"B" * SECTOR


def test_the_first_sector_leads_to_the_core_image_and_that_to_its_rest(tmp_path):
    disk = tmp_path / "disk"
    disk.write_bytes(b"T" * (2 * MIB))
    install_bios(disk, BOOT, core())
    written = disk.read_bytes()
    assert struct.unpack_from("<Q", written, 0x5C) == (MIB // SECTOR,)
    assert struct.unpack_from("<QHH", written, MIB + SECTOR - 12) == (MIB // SECTOR + 1, 4, 0x820)
    assert written[440:MIB] == b"T" * (MIB - 440)  # the table of partitions
    assert written[MIB + SECTOR : MIB + 5 * SECTOR - 100] == core()[SECTOR:]
    assert written[MIB + 5 * SECTOR :] == b"T" * (MIB - 5 * SECTOR)


@pytest.mark.parametrize(
    ("boot", "image"),
    [(BOOT[:-1], core()), (BOOT, core(1)), (BOOT, core(2049)), (BOOT, core(segment=0x1000)), (BOOT, b"")],
    ids=["a short boot.img", "no core", "a core larger than its partition", "another layout", "an empty core"],
)
def test_what_is_no_grub_is_refused_and_nothing_is_written(tmp_path, boot, image):
    disk = tmp_path / "disk"
    disk.write_bytes(b"T" * MIB)
    with pytest.raises(ImageUnsound, match="GRUB"):
        install_bios(disk, boot, image)
    assert disk.read_bytes() == b"T" * MIB
