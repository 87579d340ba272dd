import struct
import uuid

import pytest
from vmimage.errors import BaseRefused
from vmimage.system.formats import check_qcow2, read_ext, read_format

MIB = 1 << 20


def at(offset, data, size=2048):
    return data.rjust(offset + len(data), b"\0").ljust(size, b"\0")


def image(path, content, size=0):
    with open(path, "wb") as file:
        file.write(content)
        file.truncate(max(size, len(content)))
    return path


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"QFI\xfb\0\0\0\3", "qcow2"),
        (b"\x1f\x8b\x08\0", "tar"),
        (b"\xfd7zXZ\0\0\4", "tar"),
        (b"\x28\xb5\x2f\xfd\4", "tar"),
        (at(257, b"ustar\x0000"), "tar"),
        (at(257, b"ustar  \0"), "tar"),
        (at(1080, b"\x53\xef"), "raw"),
        (at(510, b"\x55\xaa"), "disk"),
        (at(510, b"\x55\xaa" + bytes(568) + b"\x53\xef"), "raw"),
        (b"KDMV\1\0\0\0", None),
        (bytes(4096), None),
        (b"", None),
    ],
    ids=[
        "qcow2",
        "gzip",
        "xz",
        "zstd",
        "posix tar",
        "gnu tar",
        "ext4",
        "disk",
        "ext4 with a boot sector",
        "vmdk",
        "zeros",
        "empty",
    ],
)
def test_a_format_is_known_by_its_magic(tmp_path, content, kind):
    assert read_format(image(tmp_path / "image", content)) == kind


@pytest.mark.parametrize("offset", [0, MIB], ids=["alone", "in a partition"])
def test_label_and_uuid_are_read_from_the_superblock(tmp_path, offset):
    name = uuid.uuid4()
    block = at(56, b"\x53\xef", 104) + name.bytes + b"cloudimg-rootfs\0"
    path = image(tmp_path / "image", at(offset + 1024, block), offset + 2 * MIB)
    ext = read_ext(path, offset)
    assert (ext.label, ext.uuid) == ("cloudimg-rootfs", str(name))
    assert read_ext(path, offset + 4096) is None


@pytest.mark.hostile("disk images", refused=True)
@pytest.mark.parametrize("length", [0, 57, 58, 104, 119, 135])
def test_a_superblock_that_is_cut_short_is_none(tmp_path, length):
    block = (at(56, b"\x53\xef", 104) + uuid.uuid4().bytes + bytes(16))[:length]
    assert read_ext(image(tmp_path / "image", bytes(1024) + block)) is None


def qcow2(version=3, backing=b"", encryption=0, incompatible=0, backing_offset=None):
    offset = (104 if backing else 0) if backing_offset is None else backing_offset
    head = b"QFI\xfb" + struct.pack(">IQIIQI", version, offset, len(backing), 16, 1 << 30, encryption)
    return at(0, head, 72) + struct.pack(">QQQII", incompatible, 0, 0, 4, 104) + backing + bytes(512)


@pytest.mark.parametrize("version", [2, 3])
def test_a_plain_qcow2_is_accepted(tmp_path, version):
    check_qcow2(image(tmp_path / "image", qcow2(version)))


@pytest.mark.hostile("disk images", refused=True)
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (qcow2(2, backing=b"/etc/shadow"), "backing file, /etc/shadow"),
        (qcow2(3, backing=b"json:{}"), "backing file, json:{}"),
        (qcow2(3, backing=b"x", backing_offset=(1 << 64) - 1), "backing file"),
        (qcow2(3, backing=b"x", backing_offset=1 << 62), "backing file"),
        (qcow2(3, incompatible=0b100), "another file"),
        (qcow2(3, incompatible=0b111), "another file"),
        (qcow2(2, encryption=1), "encrypted"),
        (qcow2(3, encryption=2), "encrypted"),
        (qcow2(1), "version 1"),
        (qcow2(4), "version 4"),
        (qcow2(3)[:76], "no qcow2"),
        (b"QFI\xfb", "no qcow2"),
        (bytes(512), "no qcow2"),
    ],
    ids=["v2 backing", "v3 backing", "backing beyond 2^63", "backing far away", "data file", "data file and dirty",
         "aes", "luks", "v1", "v4", "cut", "magic only", "zeros"],
)  # fmt: skip
def test_a_qcow2_that_needs_more_than_itself_is_refused(tmp_path, content, words):
    with pytest.raises(BaseRefused, match=words):
        check_qcow2(image(tmp_path / "image", content))
