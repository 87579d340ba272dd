"""What a warm run finds in the page cache: the machine may have taken that for something else since the last run."""

import os
from contextlib import suppress
from pathlib import Path

_PIECE_BYTES = 1 << 20


def warm_up(places):
    """Read all files below some directories, and see that nothing is left to write that an earlier run wrote."""
    piece = bytearray(_PIECE_BYTES)
    for path in plain_files(places):
        with suppress(FileNotFoundError), open(path, "rb", buffering=0) as file:  # a log may just have gone
            while file.readinto(piece):
                pass
    os.sync()


def plain_files(places):
    """Files below some directories, without what is behind a link or never ends."""
    for place in places:
        for directory, _, names in os.walk(place):
            for path in (Path(directory, name) for name in names):
                if path.is_file() and not path.is_symlink():
                    yield path
