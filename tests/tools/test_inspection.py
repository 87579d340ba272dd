"""What is inspected before it is uploaded, on files as qemu-img, sfdisk and mke2fs make them."""

import subprocess
from functools import partial
from pathlib import Path

import pytest
from triplets import make_disk
from vmimage.errors import ImageUnsound
from vmimage.glance.inspection import check_output, check_part
from vmimage.glance.outputs import Output

MIB = 1 << 20


def ext4(path, mib=4):
    with open(path, "wb") as file:
        file.truncate(mib * MIB)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", path], check=True)
    return path


def converted(source, target, *options, made="qcow2"):
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", made, *options, source, target], check=True)
    return target


def output(kind, path, disk_format, virtual_bytes=3 * MIB):
    parts = () if kind == "disk" else ("kernel", "ramdisk")
    container = "ami" if kind == "triplet" else "bare"
    content = "gpt" if kind == "disk" else "raw"
    return Output(kind, kind, f"web-amd64-{kind}", Path(path), "", disk_format, container, virtual_bytes, parts, content)


def test_what_is_what_it_is_called_passes(tmp_path):
    root, disk = ext4(tmp_path / "root.img"), make_disk(tmp_path / "disk.img")
    check_output(output("triplet", root, "ami"))
    check_output(output("bare", root, "raw"))
    check_output(output("disk", disk, "raw"))
    for kind, source, size in (("bare", root, 4 * MIB), ("disk", disk, 3 * MIB)):
        for compression in ("zlib", "zstd"):
            made = converted(source, tmp_path / f"{kind}.{compression}", "-c", "-o", f"compression_type={compression}")
            check_output(output(kind, made, "qcow2", size))


def in_a_qcow2(tmp_path):
    return converted(ext4(tmp_path / "root.img"), tmp_path / "root.qcow2")


def over_another_file(tmp_path):
    base, path = ext4(tmp_path / "root.img"), tmp_path / "over.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, path], check=True)
    return path


def with_data_elsewhere(tmp_path):
    path = tmp_path / "data.qcow2"
    words = ["-o", f"data_file={tmp_path / 'data.raw'},data_file_raw=on", path, f"{4 * MIB}"]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *words], check=True)
    return path


def as_another_kind(tmp_path, kind):
    return converted(ext4(tmp_path / "root.img"), tmp_path / f"root.{kind}", made=kind)


def with_a_torn_table(tmp_path):
    path = make_disk(tmp_path / "disk.img")
    with open(path, "r+b") as file:
        file.seek(446 + 16)
        file.write(b"\x80\0\2\0\x83" + bytes(3) + b"\x22\0\0\0\x22\0\0\0")
    return path


@pytest.mark.parametrize(
    ("make", "kind", "called", "words"),
    [
        (in_a_qcow2, "triplet", "ami", "is to be published as ami, and is a qcow2 image"),
        (in_a_qcow2, "bare", "raw", "is to be published as raw, and is a qcow2 image"),
        (lambda top: ext4(top / "root.img"), "bare", "qcow2", "is to be published as qcow2, and is no qcow2 image"),
        (lambda top: ext4(top / "root.img"), "disk", "raw", "is to be published as raw, and is no gpt image"),
        (lambda top: make_disk(top / "disk.img"), "triplet", "ami", "is to be published as ami, and is a gpt image"),
        (over_another_file, "bare", "qcow2", "is not safe: .*backing file"),
        (with_data_elsewhere, "bare", "qcow2", "is not safe: .*data_file"),
        (in_a_qcow2, "bare", "qcow2", f"is a disk of {4 * MIB} bytes, its manifest says {3 * MIB}"),
        (with_a_torn_table, "disk", "raw", "is not safe: .*extra partitions"),
        *[
            (partial(as_another_kind, kind=kind), "bare", "raw", f"is to be published as raw, and is a {kind} image")
            for kind in ("vmdk", "vdi", "vhdx")
        ],
    ],
)
def test_what_is_not_what_it_is_called_is_refused_by_name(tmp_path, make, kind, called, words):
    path = make(tmp_path)
    with pytest.raises(ImageUnsound, match=f"{path} {words}"):
        check_output(output(kind, path, called))


def test_a_kernel_with_the_sector_of_a_boot_loader_is_a_kernel(tmp_path):
    """As a kernel for x86 begins: a sector that ends like a partition table, without a sound entry."""
    path = tmp_path / "kernel"
    path.write_bytes(b"MZ" + b"\x90" * 508 + b"\x55\xaa" + b"HdrS" + bytes(MIB))
    check_part("kernel", path)
    with pytest.raises(ImageUnsound, match="is to be published as a ramdisk, and is a gpt image"):
        check_part("ramdisk", path)


def test_a_kernel_that_passes_is_not_warned_of(tmp_path, caplog):
    path = tmp_path / "kernel"
    path.write_bytes(b"MZ" + b"\x90" * 508 + b"\x55\xaa" + b"HdrS" + bytes(MIB))
    with caplog.at_level("WARNING"):
        check_part("kernel", path)
    assert caplog.messages == []


def test_a_disk_is_no_kernel(tmp_path):
    with pytest.raises(ImageUnsound, match="is to be published as a kernel, and is a gpt image"):
        check_part("kernel", make_disk(tmp_path / "disk.img"))
