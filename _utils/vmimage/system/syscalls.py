"""The system calls that Python's os module lacks, by their Linux names and nothing more."""

import contextlib
import ctypes
import errno
import os
import platform
from collections.abc import Iterable

from vmimage.system.aliases import StrPath

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID = 0x00020000, 0x04000000, 0x08000000, 0x20000000
CLONE_NEWNET, CLONE_NEWUSER, CLONE_NEWCGROUP = 0x40000000, 0x10000000, 0x02000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_SLAVE = 32, 4096, 16384, 1 << 19
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP = 1, 4, 24
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV = 1, 2, 4
RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_IN_ROOT = 0x02, 0x04, 0x10

_libc = ctypes.CDLL(None, use_errno=True)
_OPENAT2, _MOUNT_SETATTR = 437, 442  # the same on every architecture
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}.get(platform.machine(), 155)
_KEYCTL = {"x86_64": 250, "aarch64": 219}.get(platform.machine(), 250)
_JOIN_SESSION_KEYRING = 1
_PR_GET_SECCOMP, _PR_SET_SECCOMP, _PR_CAPBSET_READ = 21, 22, 23
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION = 0x20080522


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def _checked(result: int, what: StrPath) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def unshare(flags: int) -> None:
    """Leave the namespaces of the caller (unshare(2); ``os.unshare`` came with Python 3.12)."""
    _checked(_libc.unshare(flags), "unshare")


def mount(source: StrPath, target: StrPath, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2)"""
    words = [os.fsencode(word) if word else None for word in (source, target, kind)]
    _checked(_libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(data) if data else None), os.fspath(target))


class _MountAttr(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")]


def mount_setattr(target: StrPath, attributes: int) -> None:
    """mount_setattr(2) on a mount and all below it (Linux 5.12)."""
    attr, size = _MountAttr(attributes), ctypes.sizeof(_MountAttr)
    words = (_AT_FDCWD, os.fsencode(target), _AT_RECURSIVE, ctypes.byref(attr), size)
    _checked(_libc.syscall(_MOUNT_SETATTR, *words), os.fspath(target))


def umount(target: StrPath, flags: int = 0) -> None:
    """umount2(2)"""
    _checked(_libc.umount2(os.fsencode(target), flags), os.fspath(target))


def pivot_root(new_root: StrPath, put_old: StrPath) -> None:
    """pivot_root(2)"""
    _checked(_libc.syscall(_PIVOT_ROOT, os.fsencode(new_root), os.fsencode(put_old)), new_root)


def prctl(option: int, value: int) -> None:
    """prctl(2) with one argument"""
    _checked(_libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), f"prctl {option}")


def syncfs(descriptor: int) -> None:
    """syncfs(2): write all of a file system out; fails where something could not be written (Linux 5.8), unlike ``os.sync``"""
    _checked(_libc.syncfs(descriptor), "syncfs")


def openat2(directory: int, path: StrPath, flags: int, mode: int = 0, resolve: int = 0) -> int:
    """openat2(2): an open whose resolution of the path can be confined to a directory (Linux 5.6)."""
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    return _checked(_libc.syscall(_OPENAT2, directory, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how)), path)


def bounding_set() -> set[int]:
    """The numbers of the capabilities that this process or what it executes can ever have."""
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        last = int(file.read())
    return {
        number for number in range(last + 1) if _checked(_libc.prctl(_PR_CAPBSET_READ, ctypes.c_ulong(number), 0, 0, 0), "prctl")
    }


class _CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapabilityData(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


def capset(numbers: Iterable[int]) -> None:
    """capset(2): these capabilities are permitted and effective, and none is inheritable."""
    bits = sum(1 << number for number in numbers)
    halves = [(bits >> shift) & 0xFFFFFFFF for shift in (0, 32)]
    data = (_CapabilityData * 2)(*(_CapabilityData(half, half, 0) for half in halves))
    _checked(_libc.capset(ctypes.byref(_CapabilityHeader(_CAPABILITY_VERSION, 0)), data), "capset")


def join_session_keyring() -> None:
    """keyctl(KEYCTL_JOIN_SESSION_KEYRING) with a new keyring; a kernel without keys has nothing to leave."""
    if _libc.syscall(_KEYCTL, _JOIN_SESSION_KEYRING, None) < 0 and (number := ctypes.get_errno()) != errno.ENOSYS:
        raise OSError(number, os.strerror(number), "keyctl")


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]


def load_filter(code: bytes) -> None:
    """Load a filter of system calls, in classic BPF: needs CAP_SYS_ADMIN, as ``no_new_privs`` is left alone."""
    program = _Program(len(code) // 8, code)
    mode = ctypes.c_ulong(_SECCOMP_MODE_FILTER)
    _checked(_libc.prctl(_PR_SET_SECCOMP, mode, ctypes.byref(program), 0, 0), "prctl seccomp")


def has_filters() -> bool:
    """Whether the kernel knows filters of system calls."""
    with contextlib.suppress(OSError), open("/proc/sys/kernel/seccomp/actions_avail", encoding="ascii") as file:
        return "errno" in file.read().split()
    return _libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0
