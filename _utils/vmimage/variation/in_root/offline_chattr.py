"""``chattr`` in a root whose changes are kept in memory: a file of the base is taken along first.

This file is copied into the root's ``/run`` and run there; it imports nothing of this project.  chattr sets the flags that a file has, with
those that it was told; a file system in memory refuses some that the base's has.
"""

import os
import stat
import sys
from contextlib import suppress

_REAL = "/usr/bin/chattr"


def take_along(path: str) -> None:
    """Let what is changed in the build hold the file or directory; nothing of it changes."""
    with suppress(OSError):
        facts = os.lstat(path)
        if stat.S_ISREG(facts.st_mode):
            os.close(os.open(path, os.O_RDWR | os.O_NOFOLLOW))
        elif stat.S_ISDIR(facts.st_mode):
            os.chmod(path, stat.S_IMODE(facts.st_mode))


def main(words: list[str]) -> None:
    """Run the root's own chattr."""
    for path in (word for word in words if word[:1] not in ("+", "-", "=")):
        take_along(path)
        if any(word.startswith("-") and "R" in word for word in words):
            for top, directories, names in os.walk(path):
                for name in (*directories, *names):
                    take_along(f"{top}/{name}")
    os.execv(_REAL, ["chattr", *words])


if __name__ == "__main__":
    main(sys.argv[1:])
