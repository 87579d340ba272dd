"""Partition tables: MBR with logical partitions, GPT, and those that are not sound."""

import struct
import uuid

import pytest
from vmimage.errors import BaseRefused
from vmimage.system.formats import ROOT_TYPES, read_partitions

MIB = 1 << 20
LINUX, UEFI = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4"), uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")


def table(*entries, signature=0xDEADBEEF):
    """A sector with a partition table: ``(type, start, count)`` each, in sectors."""
    packed = b"".join(struct.pack("<4xB3xII", *entry) for entry in entries)
    return bytes(440) + struct.pack("<I", signature) + bytes(2) + packed.ljust(64, b"\0") + b"\x55\xaa"


def disk(path, sectors, size=16 * MIB):
    with open(path, "wb") as file:
        for number, content in sectors.items():
            file.seek(number * 512)
            file.write(content)
        file.truncate(size)
    return path


def test_primary_partitions_are_found_with_the_partuuid_that_linux_gives_them(tmp_path):
    found = read_partitions(disk(tmp_path / "d", {0: table((0x83, 2048, 4096), (0, 0, 0), (0x82, 8192, 2048))}))
    assert [(partition.number, partition.offset, partition.size, partition.kind, partition.identity) for partition in found] == [
        (1, MIB, 2 * MIB, 0x83, "deadbeef-01"),
        (3, 4 * MIB, MIB, 0x82, "deadbeef-03"),
    ]


@pytest.mark.parametrize("extended", [0x05, 0x0F, 0x85])
def test_logical_partitions_are_numbered_from_five_empty_places_left_out(tmp_path, extended):
    chain = {
        0: table((0x83, 2048, 2048), (extended, 4096, 20480)),
        4096: table((0x83, 2048, 2048), (0x05, 8192, 4096)),
        4096 + 8192: table((0, 0, 0), (0x05, 12288, 4096)),
        4096 + 12288: table((0x82, 2048, 2048)),
    }
    found = read_partitions(disk(tmp_path / "d", chain))
    assert [(partition.number, partition.offset // 512, partition.kind) for partition in found] == [
        (1, 2048, 0x83),
        (5, 6144, 0x83),
        (6, 18432, 0x82),
    ]


@pytest.mark.hostile("disk images")
def test_a_chain_of_logical_partitions_that_bites_its_tail_ends(tmp_path):
    found = read_partitions(disk(tmp_path / "d", {0: table((0x05, 2048, 8192)), 2048: table((0x83, 64, 64), (0x05, 0, 64))}))
    assert [partition.number for partition in found] == [5]


def gpt(*entries, size=128, first=2, count=None):
    """Sectors of a GPT: ``(type, identity, first sector, last sector)`` each."""
    head = b"EFI PART" + bytes(64) + struct.pack("<QII", first, len(entries) if count is None else count, size)
    body = b"".join(
        (kind.bytes_le + name.bytes_le + struct.pack("<QQ", start, end)).ljust(size, b"\0") for kind, name, start, end in entries
    )
    return {0: table((0xEE, 1, 32767)), 1: head, 2: body}


@pytest.mark.parametrize("size", [128, 256])
def test_gpt_partitions_are_found_by_type_and_identity(tmp_path, size):
    names, nothing = [uuid.uuid4() for _ in range(3)], uuid.UUID(int=0)
    root_type = sorted(ROOT_TYPES, key=str)[0]
    entries = [
        (UEFI, names[0], 2048, 4095),
        (nothing, nothing, 0, 0),
        (root_type, names[1], 4096, 8191),
        (LINUX, names[2], 8192, 8192),
    ]
    found = read_partitions(disk(tmp_path / "d", gpt(*entries, size=size)))
    assert [(partition.number, partition.offset, partition.size, partition.kind, partition.identity) for partition in found] == [
        (1, MIB, MIB, UEFI, str(names[0])),
        (3, 2 * MIB, 2 * MIB, root_type, str(names[1])),
        (4, 4 * MIB, 512, LINUX, str(names[2])),
    ]


NAME = uuid.UUID(int=7)


@pytest.mark.hostile("disk images", refused=True)
@pytest.mark.parametrize(
    "sectors",
    [
        {0: table((0x83, 2048, 1 << 20))},
        {0: table((0x83, 0, 64))},
        {0: table((0x83, 2048, 0))},
        {0: table((0x05, 2048, 64)), 2048: table((0x83, 64, 1 << 20))},
        gpt((LINUX, NAME, 2048, 1 << 20)),
        gpt((LINUX, NAME, 4096, 2048)),
        gpt((LINUX, NAME, 0, 64)),
        gpt((LINUX, NAME, (1 << 64) - 64, (1 << 64) - 1)),
        gpt((LINUX, NAME, 2048, 4095), size=64),
        gpt((LINUX, NAME, 2048, 4095), count=1 << 31),
        {0: table((0xEE, 1, 32767))},
    ],
    ids=["end outside", "over the table", "no size", "logical outside", "gpt end outside", "gpt backwards", "gpt over the table",
         "gpt far away", "gpt small entries", "gpt many entries", "no gpt"],
)  # fmt: skip
def test_a_table_that_is_not_sound_is_refused(tmp_path, sectors):
    with pytest.raises(BaseRefused):
        read_partitions(disk(tmp_path / "d", sectors))


@pytest.mark.hostile("disk images")
def test_a_table_of_a_gpt_beyond_all_bounds_is_empty_not_a_crash(tmp_path):
    assert read_partitions(disk(tmp_path / "d", gpt((LINUX, NAME, 2048, 4095), first=(1 << 64) - 1))) == []
