"""check_image refuses what a cloud could not use."""

import os
import shutil

import pytest
from vmimage.errors import ImageUnsound
from vmimage.image.ext4 import check_image, pack_image, shrink_image
from vmimage.system.shell import run

pytestmark = pytest.mark.needs("mke2fs", "e2fsck", "resize2fs", "dumpe2fs", "debugfs")
MIB = 1 << 20


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    top = tmp_path_factory.mktemp("good")
    (top / "root").mkdir()
    (top / "root/data").write_bytes(os.urandom(4 * MIB))
    pack_image(top / "root", top / "root.img")
    shrink_image(top / "root.img")
    return top / "root.img"


@pytest.fixture
def image(good, tmp_path):
    return shutil.copyfile(good, tmp_path / "image")


def poke(image, offset, data):
    with open(image, "r+b") as file:
        file.seek(offset)
        file.write(data)


def test_a_packed_image_is_good(image):
    before = image.read_bytes()
    check_image(image)
    assert image.read_bytes() == before


BROKEN = {
    "boot signature": (lambda image: poke(image, 510, b"\x55\xaa"), "boot block"),
    "boot loader": (lambda image: poke(image, 0, b"\xeb\x63\x90"), "boot block"),
    "cut by a block": (lambda image: os.truncate(image, image.stat().st_size - 4096), "."),
    "cut in half": (lambda image: os.truncate(image, image.stat().st_size // 2), "."),
    "longer than its file system": (lambda image: os.truncate(image, image.stat().st_size + 4096), "does not end"),
    "wrong link count": (lambda image: run(["debugfs", "-w", "-R", "set_inode_field /data links_count 7", image]), "not clean"),
    "block marked free": (lambda image: run(["debugfs", "-w", "-R", "freeb 600", image]), "not clean"),
    "no superblock": (lambda image: poke(image, 1024, bytes(1024)), "not clean"),
    "cannot grow": (
        lambda image: (run(["tune2fs", "-O", "^resize_inode", image]), run(["e2fsck", "-fy", image], ok=(0, 1))),
        "could not grow",
    ),
}


@pytest.mark.parametrize(("damage", "words"), BROKEN.values(), ids=BROKEN)
def test_an_image_that_a_cloud_could_not_use_is_refused(image, damage, words):
    damage(image)
    with pytest.raises(ImageUnsound, match=words):
        check_image(image)


def test_an_image_is_corrected_before_it_is_cut(image):
    run(["debugfs", "-w", "-R", "set_inode_field /data links_count 7", image])
    shrink_image(image)
    check_image(image)


def test_an_image_that_is_no_good_when_it_is_cut_is_refused(image):
    poke(image, 510, b"\x55\xaa")
    with pytest.raises(ImageUnsound, match="boot block"):
        shrink_image(image)


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "image").touch()
    with pytest.raises(ImageUnsound):
        check_image(tmp_path / "image")
