"""Compressed qcow2 files out of raw files: what several of them have in common is read and compressed once.

    header | clusters, the compressed one after the other | tables that say where they are

The format is in QEMU's docs/interop/qcow2.rst.
"""

import ctypes
import os
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from vmimage.errors import NotReady
from vmimage.system.sparse import ranges_of_data

_BITS = 18
#: smaller and faster to compress than QEMU's usual 64 KiB; larger clusters make a random read of a running disk slow
CLUSTER = 1 << _BITS
_ZEROS = bytes(CLUSTER)
_SECTOR, _ENTRY_BYTES, _COUNT_BYTES = 512, 8, 2
_OWN, _COMPRESSED = 1 << 63, 1 << 62  # of an entry: no other has a part of its cluster; its cluster is compressed
_SECTORS_AT = 62 - (_BITS - 8)  # bit of an entry: of how many sectors after its first a compressed cluster has a part
_HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQIIB7x8x")  # and the end of what could follow it
_COUNT_ORDER = 4  # counts have 16 bits
_COMPRESSION_IS_NAMED = 1 << 3  # a reader that does not know how to read the name must not read on
_TOGETHER = 16  # clusters that a thread takes at a time: 4 MiB
_AHEAD = 4 * (os.cpu_count() or 1)  # of these, read before they are written
_ZSTD_LEVEL = 2  # of a root of 592 MB: 203 MB in 3.8 s of CPU time; level 3 has 199 MB in 5.2 s, level 1 209 MB in 3.1 s

Pack = Callable[[list[bytes]], list[bytes]]


@dataclass(frozen=True)
class Image:
    """A qcow2 to write.

    :ivar size: of the disk in it, in bytes
    :ivar parts: ``{raw file: where in the disk it begins}``, a multiple of :data:`CLUSTER`; all else is zeros
    """

    target: Path
    size: int
    parts: Mapping[Path, int]


def write_images(images: Iterable[Image], compression: str) -> None:
    """Write images; what is a part of several is read and compressed once.

    :param compression: zstd, zlib or none
    :raises NotReady: if the library that compresses is missing
    """
    pack = packer(compression)
    with ExitStack() as stack, ThreadPoolExecutor(os.cpu_count()) as pool:
        writers = [(_Writer(stack.enter_context(open(image.target, "wb")), image.size), image.parts) for image in images]
        for path in dict.fromkeys(path for _, parts in writers for path in parts):
            takers = [(writer, parts[path] // CLUSTER) for writer, parts in writers if path in parts]
            for index, cluster in _packed_clusters(path, pack, pool):
                for writer, first in takers:
                    writer.put(first + index, cluster)
        for writer, _ in writers:
            writer.finish(is_zstd=compression == "zstd")


def _packed_clusters(path: Path, pack: Pack, pool: ThreadPoolExecutor) -> Iterator[tuple[int, bytes]]:
    """``(index, content)`` of each cluster of a file that is not all zeros: packed, or as it is where that is not smaller."""
    with open(path, "rb", buffering=0) as file:

        def work(indexes: range) -> list[tuple[int, bytes]]:
            read = ((index, os.pread(file.fileno(), CLUSTER, index * CLUSTER).ljust(CLUSTER, b"\0")) for index in indexes)
            filled = [(index, cluster) for index, cluster in read if cluster != _ZEROS]
            packed = pack([cluster for _, cluster in filled])
            return [(index, min(cluster, small, key=len)) for (index, cluster), small in zip(filled, packed, strict=True)]

        waiting: deque[Future[list[tuple[int, bytes]]]] = deque()
        for indexes in _groups(file.fileno()):
            waiting.append(pool.submit(work, indexes))
            if len(waiting) > _AHEAD:
                yield from waiting.popleft().result()
        for future in waiting:
            yield from future.result()


def _groups(descriptor: int) -> Iterator[range]:
    """The clusters of a file in which it has data, some at a time."""
    done = 0
    for begin, end in ranges_of_data(descriptor):
        first, last = max(done, begin // CLUSTER), -(-end // CLUSTER)
        for at in range(first, last, _TOGETHER):
            yield range(at, min(at + _TOGETHER, last))
        done = max(done, last)


class _Writer:
    """A qcow2 in the making: its clusters in any order, then its tables."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self._entries = [0] * -(-size // CLUSTER)
        self._counts = [1]  # how many have a part of each cluster of the file: the header has the first
        self._end = CLUSTER
        file.seek(self._end)

    def put(self, index: int, content: bytes) -> None:
        """Write a cluster of the disk; less than a cluster is compressed."""
        if len(content) == CLUSTER:
            self._entries[index] = self._append(content)
            return
        begin, end = self._end, self._end + len(content)
        self._counts += [0] * (-(-end // CLUSTER) - len(self._counts))
        for cluster in range(begin // CLUSTER, (end - 1) // CLUSTER + 1):
            self._counts[cluster] += 1
        self._file.write(content)
        self._end = end
        self._entries[index] = _COMPRESSED | ((end - 1) // _SECTOR - begin // _SECTOR) << _SECTORS_AT | begin

    def _append(self, content: bytes) -> int:
        """Write whole clusters; an entry that leads to them."""
        at = len(self._counts) * CLUSTER
        content = content.ljust(-(-len(content) // CLUSTER) * CLUSTER, b"\0")
        self._file.seek(at)
        self._file.write(content)
        self._counts += [1] * (len(content) // CLUSTER)
        self._end = at + len(content)
        return at | _OWN

    def finish(self, *, is_zstd: bool) -> None:
        """Write what leads to the clusters: two levels of tables, the counts and their table, the header."""
        step = CLUSTER // _ENTRY_BYTES
        tables = [self._append(_numbers("Q", self._entries[at : at + step])) for at in range(0, len(self._entries), step)]
        first_level = self._append(_numbers("Q", tables)) & ~_OWN
        blocks = table_clusters = 0
        while blocks * CLUSTER // _COUNT_BYTES < (used := len(self._counts) + blocks + table_clusters):  # they count themselves
            blocks = -(-used * _COUNT_BYTES // CLUSTER)
            table_clusters = -(-blocks * _ENTRY_BYTES // CLUSTER)
        counts = self._append(_numbers("H", self._counts + [1] * (blocks + table_clusters))) & ~_OWN
        table = self._append(_numbers("Q", [counts + block * CLUSTER for block in range(blocks)])) & ~_OWN
        self._file.seek(0)
        self._file.write(
            _HEADER.pack(
                *(b"QFI\xfb", 3, 0, 0, _BITS, self._size, 0),  # no backing file, no encryption
                *(len(tables), first_level, table, table_clusters, 0, 0),  # no snapshots
                *(_COMPRESSION_IS_NAMED if is_zstd else 0, 0, 0, _COUNT_ORDER, _HEADER.size - 8, int(is_zstd)),
            )
        )


def _numbers(kind: str, numbers: list[int]) -> bytes:
    return struct.pack(f">{len(numbers)}{kind}", *numbers)


def packer(compression: str) -> Pack:
    """What compresses clusters; it lets go of the interpreter's lock meanwhile.

    :raises NotReady: if the library that compresses is missing
    """
    return {"zstd": _zstd, "zlib": _zlib, "none": lambda: list}[compression]()


def _zlib() -> Pack:
    def pack(clusters: list[bytes]) -> list[bytes]:
        packers = [zlib.compressobj(wbits=-12) for _ in clusters]  # QEMU inflates with a window of 4 KiB, and expects no header
        return [packer.compress(cluster) + packer.flush() for packer, cluster in zip(packers, clusters, strict=True)]

    return pack


def _zstd() -> Pack:
    """By the library that dpkg and QEMU use, too: Python has none before 3.14."""
    try:
        library = ctypes.CDLL("libzstd.so.1")
    except OSError as error:
        raise NotReady(
            "the library libzstd.so.1 is missing: nothing compresses an image with zstd",
            hint="apt-get install libzstd1, or set ami.compression: zlib",
        ) from error
    library.ZSTD_createCCtx.restype = ctypes.c_void_p
    library.ZSTD_freeCCtx.argtypes = [ctypes.c_void_p]
    library.ZSTD_isError.argtypes = [ctypes.c_size_t]
    library.ZSTD_compressCCtx.restype = ctypes.c_size_t
    library.ZSTD_compressCCtx.argtypes = [
        *(ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int)
    ]
    return partial(_pack_by_zstd, library)


def _pack_by_zstd(library: ctypes.CDLL, clusters: list[bytes]) -> list[bytes]:
    room, context = ctypes.create_string_buffer(CLUSTER), library.ZSTD_createCCtx()
    try:
        packed = []
        for cluster in clusters:
            size = library.ZSTD_compressCCtx(context, room, CLUSTER - 1, cluster, CLUSTER, _ZSTD_LEVEL)
            # it fails where the result has no room: then the cluster stays as it is
            packed.append(cluster if library.ZSTD_isError(size) else ctypes.string_at(room, size))
        return packed
    finally:
        library.ZSTD_freeCCtx(context)
