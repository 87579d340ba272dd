"""The system calls that Python's os module lacks, by their Linux names and nothing more."""

import ctypes
import os
import platform

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID = 0x00020000, 0x04000000, 0x08000000, 0x20000000
CLONE_NEWNET = 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_CAPBSET_DROP = 1, 24
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV = 1, 2, 4
RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_IN_ROOT = 0x02, 0x04, 0x10

_libc = ctypes.CDLL(None, use_errno=True)
_OPENAT2, _MOUNT_SETATTR = 437, 442  # the same on every architecture
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}.get(platform.machine(), 155)


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def _checked(result, what):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def unshare(flags):
    """Leave the namespaces of the caller (unshare(2); ``os.unshare`` came with Python 3.12)."""
    _checked(_libc.unshare(flags), "unshare")


def mount(source, target, kind="", flags=0, data=""):
    """mount(2)"""
    words = [os.fsencode(word) if word else None for word in (source, target, kind)]
    _checked(_libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(data) if data else None), os.fspath(target))


class _MountAttr(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")]


def mount_setattr(target, attributes):
    """mount_setattr(2) on a mount and all below it (Linux 5.12)."""
    attr, size = _MountAttr(attributes), ctypes.sizeof(_MountAttr)
    words = (_AT_FDCWD, os.fsencode(target), _AT_RECURSIVE, ctypes.byref(attr), size)
    _checked(_libc.syscall(_MOUNT_SETATTR, *words), os.fspath(target))


def umount(target, flags=0):
    """umount2(2)"""
    _checked(_libc.umount2(os.fsencode(target), flags), os.fspath(target))


def pivot_root(new_root, put_old):
    """pivot_root(2)"""
    _checked(_libc.syscall(_PIVOT_ROOT, os.fsencode(new_root), os.fsencode(put_old)), new_root)


def prctl(option, value):
    """prctl(2) with one argument"""
    _checked(_libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), f"prctl {option}")


def syncfs(descriptor):
    """syncfs(2): write all of a file system out, and say what could not be (Linux 5.8); ``os.sync`` says nothing"""
    _checked(_libc.syncfs(descriptor), "syncfs")


def openat2(directory, path, flags, mode=0, resolve=0):
    """openat2(2): an open whose resolution of the path can be confined to a directory (Linux 5.6)."""
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    return _checked(_libc.syscall(_OPENAT2, directory, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how)), path)
