"""Files copied with their holes; long runs of zeros become holes, too: a database's new journal is little else."""

import mmap
import os
from collections.abc import Iterator

from vmimage.system.aliases import StrPath

_PIECE_BYTES = 1 << 30
_ZEROS = bytes(1 << 16)
_SWAP, _SWAP_AT = b"SWAPSPACE2", 4086
_LEAST_SWAP_BYTES = 10 * 4096  # mkswap takes no smaller file


def is_swap(path: StrPath, facts: os.stat_result) -> bool:
    """Whether a regular file is a swap file without holes: the kernel takes none with holes, so no copy of it may get them."""
    if facts.st_size < _LEAST_SWAP_BYTES or facts.st_blocks * 512 < facts.st_size:
        return False
    with open(path, "rb") as file:
        file.seek(_SWAP_AT)
        return file.read(len(_SWAP)) == _SWAP


def copy_data(source: int, target: int) -> None:
    """Copy the content of a file.

    :param source: descriptor to read from
    :param target: descriptor of an empty file
    """
    facts = os.fstat(source)
    for begin, end in _filled(source, facts):
        os.lseek(target, begin, os.SEEK_SET)
        while begin < end:
            begin += os.sendfile(target, source, begin, min(end - begin, _PIECE_BYTES)) or end
    os.ftruncate(target, facts.st_size)


def copy_into(source: StrPath, target: StrPath, at: int) -> None:
    """Copy the content of a file into another file, which has a hole there: long runs of zeros stay holes.

    :param at: where it begins in the target, in bytes
    """
    with open(source, "rb") as ours, open(target, "r+b") as theirs:
        for begin, end in _filled(ours.fileno(), os.fstat(ours.fileno())):
            os.lseek(theirs.fileno(), at + begin, os.SEEK_SET)
            while begin < end:
                begin += os.sendfile(theirs.fileno(), ours.fileno(), begin, min(end - begin, _PIECE_BYTES)) or end


def _filled(descriptor: int, facts: os.stat_result) -> Iterator[tuple[int, int]]:
    """Where a file has more than zeros: ``(begin, end)``."""
    if facts.st_size < len(_ZEROS):
        yield from ranges_of_data(descriptor)
        return
    with mmap.mmap(descriptor, facts.st_size, prot=mmap.PROT_READ) as content:
        if content[_SWAP_AT : _SWAP_AT + len(_SWAP)] == _SWAP:
            yield 0, facts.st_size  # the kernel takes no swap file with holes
            return
        for begin, end in ranges_of_data(descriptor):
            at = begin
            while at < end:
                upto = min(at + len(_ZEROS), end)
                # mostly the first byte says it, and the rest need not be looked at
                if not content[at] and content[at:upto] == _ZEROS[: upto - at]:
                    if begin < at:
                        yield begin, at
                    begin = upto
                at = upto
            if begin < end:
                yield begin, end


def ranges_of_data(descriptor: int) -> Iterator[tuple[int, int]]:
    """Where a file has data: ``(begin, end)``; between them are holes."""
    facts = os.fstat(descriptor)
    if facts.st_blocks * 512 >= facts.st_size:
        if facts.st_size:
            yield 0, facts.st_size
        return
    end = 0
    while end < facts.st_size:
        try:
            begin = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError:  # ENXIO: a hole up to the end
            return
        end = os.lseek(descriptor, begin, os.SEEK_HOLE)
        yield begin, end
