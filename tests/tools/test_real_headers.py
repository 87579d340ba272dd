"""What vmimage.system.formats reads of files that the real programs made."""

import pytest
from vmimage.base.convert import opened_base
from vmimage.errors import BaseRefused
from vmimage.system import formats
from vmimage.system.shell import run

MIB = 1 << 20
UUID = "0b1fe1d1-3e0c-4d1c-9d4b-6c1f1f1b2c3d"
SECRET = ["--object", "secret,id=s0,data=secret"]


@pytest.fixture
def ext4(tmp_path):
    path = tmp_path / "root.img"
    run(["mke2fs", "-q", "-F", "-t", "ext4", "-L", "cloudimg-rootfs", "-U", UUID, path, "8M"])
    return path


def blank(path, mib=64):
    with open(path, "wb") as file:
        file.truncate(mib * MIB)
    return path


def sfdisk(path, script):
    with open(path.with_suffix(".sfdisk"), "w+", encoding="utf-8") as file:
        file.write(script)
        file.seek(0)
        run(["sfdisk", "--quiet", path], stdin=file)
    return path


@pytest.mark.needs("mke2fs")
@pytest.mark.parametrize("kind", ["ext2", "ext3", "ext4"])
def test_an_ext_file_system_is_raw_and_named(tmp_path, kind):
    path = tmp_path / "image"
    run(["mke2fs", "-q", "-F", "-t", kind, "-L", "sixteen-letters!", "-U", UUID, path, "8M"])
    assert formats.read_format(path) == "raw"
    assert formats.read_ext(path) == formats.Ext("sixteen-letters!", UUID)


@pytest.mark.needs("qemu-img")
@pytest.mark.parametrize("compat", ["0.10", "1.1"])
def test_a_plain_qcow2_is_good_in_both_versions(tmp_path, compat):
    path = tmp_path / "image"
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", f"compat={compat}", path, "1G"])
    assert formats.read_format(path) == "qcow2"
    formats.check_qcow2(path)


QCOW2 = {
    "backing file v2": (["-o", "compat=0.10", "-F", "raw", "-b", "TMP/other"], "backing file, .*/other"),
    "backing file v3": (["-F", "raw", "-b", "TMP/other"], "backing file, .*/other"),
    "backing as json": (
        ["-F", "raw", "-b", 'json:{"driver":"raw","file":{"driver":"file","filename":"TMP/other"}}'],
        "backing file, json:",
    ),
    "data file": (["-o", "data_file=TMP/data,data_file_raw=on"], "another file"),
    "encryption": ([*SECRET, "-o", "encrypt.format=aes,encrypt.key-secret=s0"], "encrypted"),
}


@pytest.mark.hostile("disk images", refused=True)
@pytest.mark.needs("qemu-img")
@pytest.mark.parametrize(("options", "words"), QCOW2.values(), ids=QCOW2)
def test_a_qcow2_that_needs_more_than_itself_is_refused(tmp_path, options, words):
    blank(tmp_path / "other")
    path = tmp_path / "image"
    run(["qemu-img", "create", "-q", "-f", "qcow2", *(option.replace("TMP", str(tmp_path)) for option in options), path, "64M"])
    with pytest.raises(BaseRefused, match=words):
        formats.check_qcow2(path)
    with pytest.raises(BaseRefused, match=words):
        opened_base(path, "qcow2", tmp_path).__enter__()


@pytest.mark.needs("sfdisk")
def test_a_gpt_of_sfdisk_is_read_with_types_and_partuuids(tmp_path):
    script = f"label: gpt\nsize=8MiB, type=uefi\nsize=16MiB, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, uuid={UUID}\ntype=linux\n"
    path = sfdisk(blank(tmp_path / "d"), script)
    assert formats.read_format(path) == "disk"
    found = formats.read_partitions(path)
    assert [(partition.number, partition.offset // MIB, partition.size // MIB) for partition in found[:2]] == [
        (1, 1, 8),
        (2, 9, 16),
    ]
    assert [partition.number for partition in found if partition.kind in formats.ROOT_TYPES] == [2]
    assert found[1].identity == UUID
    assert [partition.identity for partition in found] == [sfdisk_says(path, partition.number) for partition in found]


def sfdisk_says(path, number):
    return run(["sfdisk", "--part-uuid", path, number]).output.strip().lower()


@pytest.mark.needs("sgdisk")
def test_a_gpt_of_sgdisk_with_a_gap_and_256_entries_is_read(tmp_path):
    path = blank(tmp_path / "d")
    run(
        [
            "sgdisk",
            "--resize-table=256",
            "--new=14:2M:+4M",
            "--typecode=14:ef02",
            "--new=1:8M:0",
            f"--partition-guid=1:{UUID}",
            path,
        ]
    )
    assert {partition.number: partition.offset // MIB for partition in formats.read_partitions(path)} == {1: 8, 14: 2}
    assert next(partition.identity for partition in formats.read_partitions(path) if partition.number == 1) == UUID


@pytest.mark.needs("sfdisk")
def test_an_mbr_of_sfdisk_with_logical_partitions_is_read(tmp_path):
    parts = [
        "1: size=8MiB, type=83",
        "2: size=40MiB, type=5",
        "5: size=8MiB, type=82",
        "6: size=8MiB, type=83",
        "7: size=4MiB, type=83",
    ]
    path = sfdisk(blank(tmp_path / "d"), "\n".join(["label: dos", "label-id: 0xdeadbeef", *parts, ""]))
    found = formats.read_partitions(path)
    listed = [
        line.split(":")[0].removeprefix(str(path))
        for line in run(["sfdisk", "--dump", path]).output.splitlines()
        if "start=" in line
    ]
    assert [str(partition.number) for partition in found] == [number.strip() for number in listed if number.strip() != "2"]
    assert found[0].identity == "deadbeef-01"
    assert [partition.size // MIB for partition in found if partition.number > 4] == [8, 8, 4]
    assert [partition.kind for partition in found if partition.number > 4] == [0x82, 0x83, 0x83]


@pytest.mark.hostile("disk images", refused=True)
@pytest.mark.needs("sfdisk")
@pytest.mark.parametrize("label", ["gpt", "dos"])
def test_a_disk_that_was_cut_short_is_refused(tmp_path, label):
    path = sfdisk(blank(tmp_path / "d"), f"label: {label}\nsize=8MiB, type=linux\nsize=32MiB, type=linux\n")
    assert len(formats.read_partitions(path)) == 2
    with open(path, "r+b") as file:
        file.truncate(20 * MIB)
    with pytest.raises(BaseRefused, match="partition 2 .* outside of the image"):
        formats.read_partitions(path)


@pytest.mark.needs("sfdisk", "mke2fs", "e2fsck")
def test_a_file_system_in_a_partition_is_found_and_taken_out_whole(tmp_path, ext4):
    path = sfdisk(blank(tmp_path / "d"), "label: gpt\nsize=4MiB, type=uefi\nsize=8MiB, type=linux\n")
    run(["dd", f"if={ext4}", f"of={path}", "bs=1M", "seek=5", "conv=notrunc", "status=none"])
    uefi, linux = formats.read_partitions(path)
    assert formats.read_ext(path, uefi.offset) is None
    assert formats.read_ext(path, linux.offset) == formats.Ext("cloudimg-rootfs", UUID)
    assert path.read_bytes()[linux.offset : linux.offset + linux.size] == ext4.read_bytes()


@pytest.mark.needs("tar", "xz", "zstd")
@pytest.mark.parametrize("option", [[], ["--gzip"], ["--xz"], ["--zstd"]], ids=["plain", "gzip", "xz", "zstd"])
def test_a_tar_is_known_however_it_is_compressed(tmp_path, tree, option):
    tree(tmp_path / "in", {"etc/hostname": "web"})
    run(["tar", *option, "--create", "--file", tmp_path / "a", "--directory", tmp_path / "in", "."])
    assert formats.read_format(tmp_path / "a") == "tar"


@pytest.mark.hostile("disk images", refused=True)
@pytest.mark.needs("mke2fs")
@pytest.mark.parametrize("called", ["disk", "qcow2", "tar"])
def test_a_base_that_is_not_what_it_is_called_is_refused_before_anything_is_made(tmp_path, ext4, called):
    with pytest.raises(BaseRefused, match=f"is called {called} and is raw"):
        opened_base(ext4, called, tmp_path / "scratch").__enter__()
    assert not (tmp_path / "scratch").exists()
