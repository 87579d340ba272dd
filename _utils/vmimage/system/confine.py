"""What a program of a root may ask of the kernel: a list of capabilities that it keeps, and a filter of system calls.

Programs in a root are root, and a user id takes nothing from them.  What lets them do their work is on a list, each capability with
its reason; the rest is dropped, whatever its number is.  The filter refuses what needs no capability, or what has often had faults
in the kernel: keys, BPF, user namespaces (in which all capabilities come back), files by number, characters pushed into a terminal.

The filter is written by libseccomp, which knows the numbers of every architecture, the secondary ones of a machine with them.  We call the
library itself: apt and systemd depend on libseccomp2, so each Debian has it, while a package from PyPI would have to be in the minion's
Python, into which ``saltutil.sync_all`` installs nothing.
"""

import ctypes
import errno
import functools
import os
import platform
from collections.abc import Callable, Mapping
from types import MappingProxyType

from vmimage.errors import NotReady
from vmimage.system import syscalls

#: what a program of a root keeps, and what for
_KEPT = {
    "chown": 0,  # dpkg gives files their owners
    "dac_override": 1,  # root reads and writes files of others
    "fowner": 3,  # ... and changes their modes, times and attributes
    "fsetid": 4,  # chown and write keep setgid bits
    "kill": 5,  # stop programs of other users that a state has started
    "setgid": 6,  # su, sudo, runas
    "setuid": 7,  # ... and apt, which fetches as _apt
    "setpcap": 8,  # programs that drop capabilities of their own
    "linux_immutable": 9,  # chattr +i and +a
    "net_bind_service": 10,  # a state that asks a server of its own on port 80
    "net_raw": 13,  # ping has it as a file capability, and does not even start without
    "ipc_lock": 14,  # as a file capability of programs that keep secrets out of swap
    "sys_chroot": 18,  # update-initramfs, states that make a chroot
    "sys_nice": 23,  # nice, ionice and chrt in commands
    "sys_resource": 24,  # limits.conf with limits above the builder's: su would refuse
    "audit_write": 29,  # passwd, useradd, su and sudo say what they do
    "setfcap": 31,  # setcap in maintainer scripts
}
#: what mmdebstrap needs besides: it mounts /proc and the like in its chroot, and makes the nodes of /dev
TO_BOOTSTRAP = {"sys_admin": 21, "mknod": 27}
#: what nsenter needs to enter a machine, whose own programs have both
TO_ENTER = {"sys_ptrace": 19, "sys_admin": 21}

_CALLS = {
    errno.EPERM: (
        *("bpf", "perf_event_open", "userfaultfd"),
        *("keyctl", "add_key", "request_key"),  # keys of the builder's root are the same user's
        *("open_by_handle_at", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module"),
        *("setns", "iopl", "ioperm", "acct", "swapon", "swapoff", "reboot", "quotactl"),
    ),
    errno.EOPNOTSUPP: ("name_to_handle_at",),  # systemd's programs then find out by other means
    errno.ENOSYS: (
        "clone3",  # its flags cannot be seen; libc goes back to clone
        *("io_uring_setup", "io_uring_enter", "io_uring_register"),
    ),
}
#: without sys_admin the kernel refuses them, too; those that an older libseccomp does not know are left to it
MOUNTING = (
    *("mount", "umount", "umount2", "pivot_root", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick"),
    *("mount_setattr", "quotactl_fd", "open_tree_attr"),
)
_SYNCING = ("fsync", "fdatasync", "msync", "sync", "syncfs", "sync_file_range")
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # the same on all architectures that we support
#: sockets that know no network namespace: a private network keeps no program from the hypervisor, and from what listens on the builder
_FAMILIES = {"vsock": 40, "qipcrtr": 42}
_ARCHITECTURES = {"x86_64": ("x86_64", "x86"), "aarch64": ("aarch64", "arm")}  # calls of others, x32 among them, are not there

_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_BAD_ARCHITECTURE, _OPTIMIZE = 2, 8
_MASKED_EQUAL = 7
_UNKNOWN = -1


class _Comparison(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("operator", ctypes.c_int), ("mask", ctypes.c_uint64), ("value", ctypes.c_uint64)]


@functools.cache
def filter_code(*allowed: str) -> bytes:
    """The filter as the kernel takes it.  Made once, before the fork whose child loads it.

    :param allowed: names of calls to leave alone
    :raises NotReady: where libseccomp or the kernel cannot
    """
    return _written(lambda library, context: _add_rules(library, context, allowed))


@functools.cache
def unsynced_code() -> bytes:
    """A filter under which a program that would wait for the disk is answered at once that all is there: for a file that its caller syncs.

    :raises NotReady: where libseccomp or the kernel cannot
    """

    def add(library: ctypes.CDLL, context: ctypes.c_void_p) -> None:
        for name in _SYNCING:
            call = library.seccomp_syscall_resolve_name(name.encode())
            _check(library.seccomp_rule_add_array(context, ctypes.c_uint32(_ERRNO), call, 0, None), name)

    return _written(add)


def _written(add_rules: Callable[[ctypes.CDLL, ctypes.c_void_p], None]) -> bytes:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError as error:
        raise NotReady(
            "the library libseccomp.so.2 is missing: nothing would keep programs of a root from system calls",
            hint="apt-get install libseccomp2",
        ) from error
    if not syscalls.has_filters():
        raise NotReady("this kernel has no filters of system calls (CONFIG_SECCOMP_FILTER)", hint="build on another machine")
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ALLOW)))
    try:
        _add_architectures(library, context)
        add_rules(library, context)
        return _exported(library, context)
    finally:
        library.seccomp_release(context)


def _check(result: int, what: str) -> None:
    if result < 0:
        raise NotReady(f"libseccomp cannot write the filter ({what}: {os.strerror(-result)})", hint="update libseccomp2")


def _add_architectures(library: ctypes.CDLL, context: ctypes.c_void_p) -> None:
    """Those of this machine; a call of any other does not exist."""
    for name in _ARCHITECTURES.get(platform.machine(), ()):
        token = library.seccomp_arch_resolve_name(name.encode())
        if library.seccomp_arch_exist(context, ctypes.c_uint32(token)) != 0:
            _check(library.seccomp_arch_add(context, ctypes.c_uint32(token)), name)
    _check(library.seccomp_attr_set(context, _BAD_ARCHITECTURE, ctypes.c_uint32(_ERRNO | errno.ENOSYS)), "other architectures")
    library.seccomp_attr_set(context, _OPTIMIZE, ctypes.c_uint32(2))  # a tree; an older library writes a list


def _add_rules(library: ctypes.CDLL, context: ctypes.c_void_p, allowed: tuple[str, ...]) -> None:
    def deny(number: int, name: str, *compared: _Comparison, may_be_unknown: bool = False) -> None:
        if name in allowed:
            return
        call = library.seccomp_syscall_resolve_name(name.encode())
        if call == _UNKNOWN and may_be_unknown:
            return
        _check(_UNKNOWN if call == _UNKNOWN else 0, f"{name} is unknown")
        comparisons = (_Comparison * len(compared))(*compared)
        _check(library.seccomp_rule_add_array(context, ctypes.c_uint32(_ERRNO | number), call, len(compared), comparisons), name)

    for number, names in _CALLS.items():
        for name in names:
            deny(number, name)
    for name in MOUNTING:
        deny(errno.EPERM, name, may_be_unknown=True)
    user = syscalls.CLONE_NEWUSER
    for name in ("unshare", "clone"):
        deny(errno.EPERM, name, _Comparison(0, _MASKED_EQUAL, user, user))
    for request in (_TIOCSTI, _TIOCLINUX):  # the kernel looks at the lower half of the number only
        deny(errno.EPERM, "ioctl", _Comparison(1, _MASKED_EQUAL, 0xFFFFFFFF, request))
    for family in _FAMILIES.values():
        deny(errno.EAFNOSUPPORT, "socket", _Comparison(0, _MASKED_EQUAL, 0xFFFFFFFF, family))


def _exported(library: ctypes.CDLL, context: ctypes.c_void_p) -> bytes:
    with open(os.memfd_create("filter"), "w+b") as file:
        _check(library.seccomp_export_bpf(context, file.fileno()), "export")
        file.seek(0)
        return file.read()


def confine(code: bytes, more: Mapping[str, int] = MappingProxyType({})) -> None:
    """Confine this process and all that it starts, for good.  It has to be a child that was forked for this.

    ``no_new_privs`` stays unset: su and sudo work in a root.

    :param code: of :func:`filter_code`
    :param more: capabilities to keep besides, by name
    """
    os.setsid()  # away from the terminal: its characters cannot be pushed, and Ctrl-C reaches the caller alone
    syscalls.join_session_keyring()
    kept = {*_KEPT.values(), *more.values()}
    held = syscalls.bounding_set() & kept
    for number in syscalls.bounding_set() - kept:
        syscalls.prctl(syscalls.PR_CAPBSET_DROP, number)
    syscalls.load_filter(code)  # now: it asks for sys_admin
    syscalls.capset(held)  # the ambient set goes with the inheritable
