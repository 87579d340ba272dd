"""A file on its way into the store: read once and hashed on the way."""

import hashlib
import io
import os

from vmimage.system.aliases import Moved

_CHUNK_BYTES = 256 << 10  # so much must pass within the time that a connection may be silent: a slow line is no lost line


class Reader:
    """A file that is read once.

    :ivar total: its size in bytes
    :ivar trouble: what went wrong with the file itself, or None
    """

    def __init__(self, file: io.FileIO, moved: Moved) -> None:
        self._file, self._moved, self._done = file, moved, 0
        self._before = self._identity()
        self.total = os.fstat(file.fileno()).st_size
        self.trouble: OSError | None = None
        self._hashes = {name: hashlib.new(name) for name in ("sha256", "sha512")}

    def _identity(self) -> tuple[int, int]:
        facts = os.fstat(self._file.fileno())
        return facts.st_size, facts.st_mtime_ns

    def read(self, _: int) -> bytes:
        """The next bytes; an error of the file is kept, for the clients would report it as an error of the connection."""
        try:
            chunk = self._file.read(_CHUNK_BYTES)
            if not chunk and (self._done, self._before) != (self.total, self._identity()):
                raise OSError(f"{self._file.name} changed while it was uploaded")
        except OSError as error:
            self.trouble = error
            raise
        for digest in self._hashes.values():
            digest.update(chunk)
        self._done += len(chunk)
        self._moved(self._done, self.total)
        return chunk

    def digests(self) -> dict[str, str]:
        """``{algorithm: hex}`` of what was read."""
        return {name: digest.hexdigest() for name, digest in self._hashes.items()}
