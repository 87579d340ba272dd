"""Flags of chattr: immutable, append only and others that a file system keeps beside a file's mode."""

import array
import errno
import fcntl
import os
import platform
import stat

from vmimage.system.aliases import StrPath

_GET, _SET = (0x80086601, 0x40086602) if platform.architecture()[0] == "64bit" else (0x80046601, 0x40046602)
_PROTECTING = 0x10 | 0x20  # i, a
_KEPT = _PROTECTING | 0x8 | 0x40 | 0x80 | 0x4000 | 0x10000  # and S, d, A, j, D
_NONE = (errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


def read_flags(path: StrPath, facts: os.stat_result) -> int:
    """The flags of a file or directory that an image keeps; 0 for other kinds, which have none.

    :param facts: of lstat
    """
    if not (stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)):
        return 0
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        return _read(descriptor) & _KEPT
    finally:
        os.close(descriptor)


def write_flags(path: StrPath, flags: int) -> None:
    """Give a file or directory these flags, and none of the others that an image keeps."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        before = _read(descriptor)
        wanted = before & ~_KEPT | flags
        if wanted != before:
            fcntl.ioctl(descriptor, _SET, array.array("l", [wanted]))
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> int:
    flags = array.array("l", [0])
    try:
        fcntl.ioctl(descriptor, _GET, flags)
    except OSError as error:
        if error.errno not in _NONE:
            raise
    return flags[0]


def unprotect(path: StrPath, facts: os.stat_result) -> None:
    """Let a file or directory be changed and removed.

    :param facts: of lstat
    """
    flags = read_flags(path, facts)
    if flags & _PROTECTING:
        write_flags(path, flags & ~_PROTECTING)
