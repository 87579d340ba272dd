"""qcow2 files of our own, read by QEMU and by the inspection of Nova and Glance."""

import json
import os
import subprocess

import pytest
from oslo_utils.imageutils import format_inspector
from vmimage.errors import NotReady
from vmimage.image import qcow2
from vmimage.image.outputs import check_programs
from vmimage.image.qcow2 import CLUSTER, Image, write_images
from vmimage.settings.gather import gather_settings

pytestmark = pytest.mark.needs("qemu-img")
KINDS = ["zstd", "zlib", "none"]


def said(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def check(image, raw):
    """What QEMU finds in an image that has the content of a raw file and no fault."""
    found = json.loads(said("qemu-img", "check", "--output=json", image.target))
    assert found["check-errors"] == 0 and not found.get("leaks") and not found.get("corruptions"), found
    said("qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, image.target)
    inspector = format_inspector.detect_file_format(image.target)
    inspector.safety_check()
    assert (str(inspector), inspector.virtual_size) == ("qcow2", image.size)
    return found


@pytest.fixture
def write(tmp_path):
    """Writes a qcow2 of a raw file with some content in places of it; what QEMU finds."""

    def work(size, content, compression="zstd"):
        raw = tmp_path / "raw"
        with open(raw, "wb") as file:
            file.truncate(size)
            for at, data in content.items():
                file.seek(at)
                file.write(data)
        image = Image(tmp_path / "image", size, {raw: 0})
        write_images([image], compression)
        return check(image, raw)

    return work


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_compressed_and_what_can_stand_beside_each_other(write, kind):
    text = b"as in any file of text " * 30000
    content = {7: text, 3 * CLUSTER + 1: os.urandom(2 * CLUSTER), 9 * CLUSTER: text, 20 * CLUSTER - 4096: b"x" * 4096}
    found = write(20 * CLUSTER, content, kind)
    # the clusters that have random bytes in no more than a part, and text
    assert found.get("compressed-clusters", 0) == (0 if kind == "none" else 8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [512, CLUSTER - 512, CLUSTER, 5 * CLUSTER + 1024])
def test_a_disk_may_end_anywhere(write, kind, size):
    write(size, {size - 300: b"y" * 300}, kind)


def test_zeros_take_no_room_even_where_they_are_written(write, tmp_path):
    write(40 * CLUSTER, {0: bytes(8 * CLUSTER)})
    assert (tmp_path / "image").stat().st_size <= 5 * CLUSTER  # the header and the tables


def test_a_disk_of_many_tables(write):
    size = 30 << 30  # a table leads to 8 GiB
    write(size, {(8 << 30) - 5: b"z" * 10, size - CLUSTER: b"end"})


@pytest.fixture
def small_clusters(monkeypatch):
    """Clusters of 512 bytes: a table leads to 64 of them, and 256 are counted in one."""
    for name, value in {"_BITS": 9, "CLUSTER": 512, "_ZEROS": bytes(512), "_SECTORS_AT": 61}.items():
        monkeypatch.setattr(qcow2, name, value)


@pytest.mark.parametrize("kind", KINDS)
def test_tables_and_counts_that_fill_many_clusters(write, small_clusters, kind):
    write(8 << 20, {0: os.urandom(1 << 20), 2 << 20: b"text" * 500000}, kind)


def test_counts_that_begin_another_cluster_count_it_too(write, small_clusters):
    sizes = set()
    for clusters in range(240, 260):
        sizes.add(write(512 * clusters, {0: os.urandom(512 * clusters)}, "none")["image-end-offset"] // 512)
    assert min(sizes) < 256 < max(sizes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_of_several_images_is_packed_once_and_is_the_same_in_each(tmp_path, monkeypatch, kind):
    root, frame, disk, packed = tmp_path / "root", tmp_path / "frame", tmp_path / "disk", []
    root.write_bytes(b"root" * (CLUSTER // 2) + os.urandom(CLUSTER) + b"end")
    size = 6 * CLUSTER
    frame.write_bytes((b"table" + bytes(size))[:size])
    disk.write_bytes(frame.read_bytes()[: 2 * CLUSTER] + root.read_bytes() + bytes(size - 2 * CLUSTER - root.stat().st_size))
    packer = qcow2.packer

    def counting(compression):
        pack = packer(compression)
        return lambda clusters: packed.extend(clusters) or pack(clusters)

    monkeypatch.setattr(qcow2, "packer", counting)
    images = [
        Image(tmp_path / "bare.qcow2", root.stat().st_size - 3 + 512, {root: 0}),
        Image(tmp_path / "disk.qcow2", size, {frame: 0, root: 2 * CLUSTER}),
    ]
    write_images(images, kind)
    check(images[0], root)
    check(images[1], disk)
    assert len(packed) == 1 + 4


def test_a_missing_library_is_named_before_a_build_begins(monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(qcow2.ctypes, "CDLL", missing)
    with pytest.raises(NotReady, match="libzstd.so.1 is missing"):
        check_programs(gather_settings([], {"outputs": ["bare"]}))
    check_programs(gather_settings([], {"outputs": ["bare"], "compression": "zlib"}))
