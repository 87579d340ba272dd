"""A copy is its file byte for byte, and takes no room for zeros."""

import os

import pytest
from vmimage.system.sparse import copy_data, copy_into

ZEROS, DATA = bytes(1 << 16), b"x" * (1 << 16)


@pytest.fixture
def copied(tmp_path):
    def copy(content, hole=False):
        source, target = tmp_path / "source", tmp_path / "target"
        if hole:
            with open(source, "wb") as file:
                file.truncate(len(content))
                begin = len(content) - len(content.lstrip(b"\0"))
                file.seek(begin)
                file.write(content[begin:].rstrip(b"\0"))
        else:
            source.write_bytes(content)
        with open(source, "rb") as ours, open(target, "wb") as copy:
            copy_data(ours.fileno(), copy.fileno())
            os.fsync(copy.fileno())
        return target

    return copy


CONTENTS = {
    "empty": b"",
    "short": b"text",
    "short zeros": bytes(10),
    "data": DATA * 3 + b"end",
    "zeros": ZEROS * 3,
    "zeros and a bit": ZEROS * 3 + bytes(5),
    "zeros in between": DATA + ZEROS * 2 + DATA + b"end",
    "zeros first": ZEROS + b"end",
    "zeros last": DATA + ZEROS + bytes(7),
    "zeros off the border": b"begin" + ZEROS * 3 + b"end",
    "one byte among zeros": ZEROS + b"\1" + bytes(70000),
}


@pytest.mark.parametrize("hole", [False, True], ids=["written", "with holes"])
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_a_copy_is_the_same(copied, content, hole):
    assert copied(content, hole).read_bytes() == content


def test_a_swap_file_keeps_its_blocks(copied):
    swap = bytes(4086) + b"SWAPSPACE2" + ZEROS * 3
    path = copied(swap)
    assert path.read_bytes() == swap and path.stat().st_blocks * 512 >= len(swap)


@pytest.mark.parametrize(("content", "blocks"), [("zeros", 0), ("zeros in between", 33), ("zeros last", 16), ("data", 49)])
def test_zeros_take_no_room(copied, content, blocks):
    path = copied(CONTENTS[content])
    assert path.stat().st_blocks <= blocks * 8


def test_a_file_is_copied_to_its_place_in_another_and_zeros_stay_a_hole_there(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    content = DATA + 64 * ZEROS + DATA + b"end"
    source.write_bytes(content)
    target.write_bytes(b"head")
    os.truncate(target, (1 << 20) + 2 * len(content))
    copy_into(source, target, 1 << 20)
    whole = target.read_bytes()
    assert whole[:4] == b"head" and whole[1 << 20 : (1 << 20) + len(content)] == content
    assert not any(whole[4 : 1 << 20]) and not any(whole[(1 << 20) + len(content) :])
    assert target.stat().st_blocks * 512 < 1 << 20
