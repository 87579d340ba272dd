import tempfile
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as some
from vmimage.errors import BaseRefused
from vmimage.system import formats


@some.composite
def images(draw):
    """Random bytes that look like an image just far enough to be read on."""
    data = bytearray(draw(some.binary(max_size=64)).ljust(draw(some.integers(0, 4096)), b"\0"))
    placed = some.tuples(
        some.integers(0, 3000) | some.sampled_from([0, 446, 450, 466, 512, 584, 1024, 1080, 1128]), some.binary(max_size=48)
    )
    magic = some.sampled_from(
        [(0, b"QFI\xfb\0\0\0\3"), (510, b"\x55\xaa"), (450, b"\xee"), (450, b"\x05"), (512, b"EFI PART"), (1080, b"\x53\xef")]
    )
    for offset, piece in draw(some.lists(placed | magic, max_size=8)):
        data[offset : offset + len(piece)] = piece
    return bytes(data[: draw(some.integers(0, 4096))])


def outcome_of(read, data):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "image"
        path.write_bytes(data)
        try:
            return read(path)
        except BaseRefused as refused:
            return refused


@given(images())
def test_any_bytes_have_a_known_format_or_none(data):
    assert outcome_of(formats.read_format, data) in ("raw", "disk", "qcow2", "tar", None)


@given(images(), some.integers(0, 1 << 42))
@example(bytes(1080) + b"\x53\xef" + bytes(40), 0)
def test_any_bytes_are_an_ext_file_system_or_none(data, offset):
    found = outcome_of(lambda path: formats.read_ext(path, offset % (len(data) + 1)), data)
    assert found is None or isinstance(found, formats.Ext)


@given(images())
@example(b"QFI\xfb\0\0\0\3" + bytes(68))
@example(b"QFI\xfb\0\0\0\3" + b"\xff" * 8 + bytes(100))
def test_any_bytes_are_a_good_qcow2_or_refused(data):
    found = outcome_of(formats.check_qcow2, data)
    assert isinstance(found, BaseRefused) or (found is None and data[:4] == b"QFI\xfb")


@given(images())
def test_any_bytes_hold_partitions_inside_the_image_or_are_refused(data):
    found = outcome_of(formats.read_partitions, data)
    assert isinstance(found, BaseRefused) or all(
        512 <= partition.offset < partition.offset + partition.size <= len(data) for partition in found
    )
