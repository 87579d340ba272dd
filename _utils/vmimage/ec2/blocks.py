"""The blocks of a disk as EBS has them: 512 KiB each, those of zeros alone left out.

A snapshot holds what was written to it, over what its parent holds.  So what a snapshot holds is kept on this machine by digests of its
blocks, and the next generation of the disk sends only what differs.  Where that record is lost, all blocks are sent, without a parent.
"""

import errno
import hashlib
import os
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path

from vmimage.errors import ImageUnsound
from vmimage.system.aliases import Moved, StrPath
from vmimage.system.digest import read_record, write_record

BLOCK_BYTES = 512 << 10
_ZEROS = bytes(BLOCK_BYTES)
#: of a block of zeros
ZERO_DIGEST = hashlib.sha256(_ZEROS).digest()
#: ``{index: sha256}`` of blocks that are not zeros alone
Digests = dict[int, bytes]


class Disk:
    """The file of a whole disk.

    :ivar sha256: of the file, as its manifest has it
    :ivar bytes: its size
    """

    def __init__(self, path: StrPath, sha256: str) -> None:
        self.path, self.sha256 = Path(path), sha256
        self.bytes = self.path.stat().st_size

    @property
    def gib(self) -> int:
        """The size of the smallest volume that it fits on."""
        return max(1, -(-self.bytes // (1 << 30)))

    def digests(self, moved: Moved = lambda done, total: None) -> Digests:
        """The digests of the blocks that are not zeros alone; holes are not read."""
        found: Digests = {}
        with self.path.open("rb", buffering=0) as file:
            for index in _filled(file.fileno(), self.bytes):
                if (block := _read(file.fileno(), index)) != _ZEROS:
                    found[index] = hashlib.sha256(block).digest()
                moved(min((index + 1) * BLOCK_BYTES, self.bytes), self.bytes)
        return found

    def read(self, index: int, digest: bytes) -> bytes:
        """A block, whole, with zeros after the end of the file.

        :param digest: that it had before
        :raises ImageUnsound: if it has another digest now
        """
        with self.path.open("rb", buffering=0) as file:
            block = _read(file.fileno(), index)
        if hashlib.sha256(block).digest() != digest:
            raise ImageUnsound(f"{self.path} was changed while it was sent", hint="let nothing write to it, and run it again")
        return block


def _filled(descriptor: int, size: int) -> Iterator[int]:
    """The indices of the blocks in which a file has data: between them are holes."""
    index, end = 0, 0
    while end < size:
        try:
            begin = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:  # a hole up to the end
                raise
            return
        end = os.lseek(descriptor, begin, os.SEEK_HOLE)
        index = max(index, begin // BLOCK_BYTES)
        while index * BLOCK_BYTES < end:
            yield index
            index += 1


def _read(descriptor: int, index: int) -> bytes:
    block, at = b"", index * BLOCK_BYTES
    while len(block) < BLOCK_BYTES:
        piece = os.pread(descriptor, BLOCK_BYTES - len(block), at + len(block))
        if not piece:
            break
        block += piece
    return block.ljust(BLOCK_BYTES, b"\0")


def changed_blocks(digests: Mapping[int, bytes], parent: Mapping[int, bytes]) -> Digests:
    """The blocks that are to be written over a parent, those that have become zeros too; at least one, for a snapshot needs one.

    :param parent: what the parent holds; empty without a parent
    """
    changed = {index: digest for index, digest in digests.items() if parent.get(index) != digest}
    changed |= {index: ZERO_DIGEST for index in parent if index not in digests}
    return dict(sorted(changed.items())) or {0: digests.get(0, ZERO_DIGEST)}


def checksum(digest: bytes) -> str:
    """The digest of a block as the requests have it."""
    return b64encode(digest).decode()


def aggregated(changed: Mapping[int, bytes]) -> str:
    """The checksum of all checksums, in the order of the blocks: EBS calls it linear."""
    return checksum(hashlib.sha256(b"".join(changed[index] for index in sorted(changed))).digest())


class Holdings:
    """What snapshots hold, by digests of their blocks, in files of this machine.

    :param directory: of the files
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def of(self, snapshot: str) -> Digests | None:
        """The blocks of a snapshot, or None where that is not known, or is known no more."""
        try:
            return {int(index): bytes.fromhex(digest) for index, digest in read_record(self._path(snapshot)).items()}
        except (AttributeError, TypeError, ValueError):
            return None

    def keep(self, snapshot: str, digests: Digests) -> None:
        """Keep what a snapshot holds."""
        self._directory.mkdir(parents=True, exist_ok=True)
        write_record(self._path(snapshot), {str(index): digest.hex() for index, digest in digests.items()})

    def forget(self, snapshot: str) -> None:
        """Of a snapshot that is deleted nothing need be known."""
        self._path(snapshot).unlink(missing_ok=True)

    def _path(self, snapshot: str) -> Path:
        return self._directory / f"{snapshot}.json"
