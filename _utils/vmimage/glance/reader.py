"""A file on its way into the store: read once, hashed on the way, told about."""

import hashlib
import os

_CHUNK_BYTES = 256 << 10  # so much must pass within the time that a connection may be silent: a slow line is no lost one


class Reader:
    """A file that is read once.

    :param file: open, unbuffered
    :param moved: called with bytes done and in all
    :ivar int total: its size in bytes
    :ivar trouble: what went wrong with the file itself, or None
    """

    def __init__(self, file, moved):
        self._file, self._moved, self._done = file, moved, 0
        self._before = self._identity()
        self.total, self.trouble = os.fstat(file.fileno()).st_size, None
        self._hashes = {name: hashlib.new(name) for name in ("sha256", "sha512")}

    def _identity(self):
        facts = os.fstat(self._file.fileno())
        return facts.st_size, facts.st_mtime_ns

    def read(self, _):
        """The next bytes; a trouble with the file is kept, for the clients would take it for one of the line."""
        try:
            chunk = self._file.read(_CHUNK_BYTES)
            if not chunk and (self._done, self._before) != (self.total, self._identity()):
                raise OSError(f"{self._file.name} changed while it was uploaded")
        except OSError as error:
            self.trouble = error
            raise
        for one in self._hashes.values():
            one.update(chunk)
        self._done += len(chunk)
        self._moved(self._done, self.total)
        return chunk

    def digests(self):
        """``{algorithm: hex}`` of what was read."""
        return {name: one.hexdigest() for name, one in self._hashes.items()}
