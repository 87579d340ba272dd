"""Mounting things, and making a root fit to run programs in.

`mount_api_filesystems` is called in a private namespace and never undone: what it mounts goes with the namespace.  A program in such a
root sees the image, a minimal ``/dev``, its own ``/proc``, and nothing of the machine's own files (pivot_root, not chroot).
"""

import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vmimage.errors import CommandFailed, NotReady, StillMounted
from vmimage.root import files
from vmimage.root.apart import go_apart
from vmimage.system import formats, syscalls
from vmimage.system.aliases import Argv, StrPath
from vmimage.system.confine import confine, filter_code
from vmimage.system.retry import retried
from vmimage.system.shell import Finished, run

_NODES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
_LINKS = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
#: of an unmount
_TRIES = 4
#: control groups of the programs that this process runs in a root
_limiting: list[Path] = []
#: all of the environment that programs in a root get
ROOT_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "USER": "root",
    "LOGNAME": "root",
    "SHELL": "/bin/sh",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "SYSTEMD_OFFLINE": "1",
}


def source_of(path: StrPath) -> str | None:
    """The source of what is mounted on a path, in this process's own view; None where nothing is."""
    wanted, found = os.path.realpath(path), None
    with open("/proc/self/mountinfo", "rb") as table:
        for fields in map(bytes.split, table):
            if os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda octal: bytes([int(octal[1], 8)]), fields[4])) == wanted:
                found = os.fsdecode(fields[fields.index(b"-") + 2])  # the last mount is on top
    return found


def is_mounted(path: StrPath) -> bool:
    """Whether something is mounted on the path, in this process's own view."""
    return source_of(path) is not None


def mount_image(image: StrPath, target: StrPath, *options: str, offset: int = 0, size: int = 0) -> None:
    """Mount a file system image by a loop device that goes away with the mount, or with the last that builds have of the same image.

    What an ext superblock says is to be done where the file system is damaged may be: panic.  It is not asked.
    """
    window = [f"offset={offset}", f"sizelimit={size}"] if offset else []
    harmless = ["errors=remount-ro"] if formats.read_ext(image, offset) else []
    run(["mount", "-o", ",".join(["loop", "nodev", *harmless, *options, *window]), image, target])


def mount_memory(path: Path, mib: int) -> bool:
    """Mount a tmpfs, if this kernel's takes all that a disk would; returns whether."""
    path.mkdir(parents=True, exist_ok=True)
    run(["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=755,nodev", "vm_create", path])
    try:
        os.setxattr(path, "user.vm_create", b"1")
    except OSError:  # before Linux 6.6
        unmount(path)
        return False
    os.removexattr(path, "user.vm_create")
    return True


def unmount(path: StrPath) -> None:
    """Unmount, if mounted; who looks in there for a moment, or was killed and is still ending, is waited for.

    :raises StillMounted: naming what works in there
    """
    if not is_mounted(path):
        return
    try:
        retried(lambda: run(["umount", path]), CommandFailed, tries=_TRIES, say=lambda line: None)
    except CommandFailed as error:
        raise StillMounted(
            f"{path} cannot be unmounted: {error.output.strip()}", hint=f"see who works there: fuser -vm {path}"
        ) from error


def escaped_option(path: StrPath) -> str:
    """A path in an overlay option, where a comma and a colon separate."""
    return os.fspath(path).replace("\\", "\\\\").replace(",", "\\,").replace(":", "\\:")


@contextmanager
def mounted(image: StrPath, target: StrPath, *options: str, offset: int = 0, size: int = 0) -> Iterator[Path]:
    """An image mounted for the time of the block; what was written to it is in its file at the end.

    :raises NotReady: if it is not: a disk that is full below a mounted image is no error for a program that writes to the image
    """
    mount_image(image, target, *options, offset=offset, size=size)
    try:
        if "ro" in options:
            yield Path(target)
        else:
            with _written_out(image, target):
                yield Path(target)
    finally:
        unmount(target)


@contextmanager
def _written_out(image: StrPath, target: StrPath) -> Iterator[None]:
    """Notice a write to a mounted image that did not reach its file; opened before the first write, for the kernel reports a failure once.

    :raises NotReady: at the end of the block, if there was such a write
    """
    descriptor = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield
        try:
            syscalls.syncfs(descriptor)
            if os.fstatvfs(descriptor).f_flag & os.ST_RDONLY:
                raise OSError(errno.EROFS, "it turned read-only after an error")
        except OSError as error:
            raise NotReady(
                f"what was written to {image} did not reach its disk: {error.strerror}",
                hint=f"free some room in {os.path.dirname(os.path.abspath(image))}, or see the kernel's log: dmesg",
            ) from error
    finally:
        os.close(descriptor)


def bind_read_only(source: StrPath, target: StrPath) -> None:
    """Show a directory or file of the machine at the target, read-only with all that is mounted below it."""
    syscalls.mount(source, target, flags=syscalls.MS_BIND | syscalls.MS_REC)
    syscalls.mount_setattr(target, syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV)


def mount_api_filesystems(root: StrPath) -> None:
    """Mount what programs in a root need.  For a private namespace only: nothing is unmounted."""
    root = os.fspath(root)
    syscalls.mount(root, root, flags=syscalls.MS_BIND | syscalls.MS_REC)
    hardened = syscalls.MS_NOSUID | syscalls.MS_NODEV
    _mount_proc(files.own_directory(root, "proc"))
    syscalls.mount("sysfs", files.own_directory(root, "sys"), "sysfs", hardened | syscalls.MS_NOEXEC | syscalls.MS_RDONLY)
    syscalls.mount("tmpfs", files.own_directory(root, "run"), "tmpfs", hardened, f"mode=755,{_limit(40)}")
    os.mkdir(f"{root}/run/lock", 0o755)
    os.mkdir(
        f"{root}/run/host", 0o755
    )  # systemd-detect-virt takes the root for a container: hooks of boot loaders then stay quiet
    with open(f"{root}/run/host/container-manager", "w", encoding="ascii") as file:
        file.write("vm_create\n")
    syscalls.mount("tmpfs", files.own_directory(root, "tmp"), "tmpfs", hardened, f"mode=1777,{_limit(40)}")
    source = source_of(root)  # before /dev is mounted over it
    _mount_dev(files.own_directory(root, "dev"))
    _show_root_device(root, source)


def _limit(percent: int) -> str:
    """Options of a tmpfs: of the machine's memory, and as many files as that is worth.  All of a root's leave something of it."""
    return f"size={percent}%,nr_inodes={os.sysconf('SC_PHYS_PAGES') * percent // 200}"


def _mount_proc(proc: str) -> None:
    syscalls.mount("proc", proc, "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
    for guarded in ("sys", "sysrq-trigger", "irq", "bus"):
        if os.path.exists(f"{proc}/{guarded}"):
            bind_read_only(f"{proc}/{guarded}", f"{proc}/{guarded}")
    _hide_init(f"{proc}/1")
    for hidden in ("keys", "key-users", "swaps"):  # the builder's root has the same user id; its swap is not the image's
        if os.path.exists(f"{proc}/{hidden}"):
            bind_read_only(f"{proc}/1/environ", f"{proc}/{hidden}")  # an empty file


def _hide_init(directory: str) -> None:
    """Show programs a process 1 as a machine has it, with another root than theirs.

    The real process 1 is ours.  By the other root systemd's programs see, in whatever environment, that they run in a chroot, and
    leave alone what only a running systemd could do.
    """
    shown = {"comm": "systemd\n", "cmdline": "/sbin/init\0", "environ": "", "cgroup": "0::/init.scope\n"}
    own = Path(directory, "comm").read_text(encoding="ascii", errors="replace").strip()
    for name in ("stat", "status"):
        shown[name] = Path(directory, name).read_text(encoding="utf-8", errors="replace").replace(own, "systemd", 1)
    syscalls.mount("tmpfs", directory, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC, "mode=555")
    for name, text in shown.items():
        Path(directory, name).write_text(text, encoding="utf-8")
    for name in ("root", "cwd"):
        os.mkdir(f"{directory}/{name}", 0o555)
    for name in ("mounts", "mountinfo"):
        os.symlink(f"../self/{name}", f"{directory}/{name}")


def _show_root_device(root: str, source: str | None) -> None:
    """Let grub-probe find a device for ``/``: the base's, read-only, under the name that the overlay has as its source.

    Its file system has the UUID that the image will have, and so a grub.cfg that update-grub writes names the right root.
    """
    base = _base_device(root)
    if base is None or source is None or not source.startswith("/dev/vm_create-"):
        return
    os.mknod(f"{root}{source}", 0o400 | stat.S_IFBLK, os.stat(base).st_rdev)
    identity = run(["blkid", "-o", "value", "-s", "UUID", base], ok=(0, 2)).output.strip()
    if identity:
        os.makedirs(f"{root}/dev/disk/by-uuid")
        os.symlink(f"../../{os.path.basename(source)}", f"{root}/dev/disk/by-uuid/{identity}")


def _base_device(root: StrPath) -> str | None:
    """The loop device of the base below an overlay, or None."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            fields, _, more = line.partition(" - ")
            if fields.split()[4] == os.path.realpath(root) and (found := re.search(r"lowerdir=((?:[^,\\]|\\.)+)", more)):
                device = source_of(re.sub(r"\\(.)", r"\1", found[1]))
                return device if device and device.startswith("/dev/loop") else None
    return None


def _mount_dev(dev: str) -> None:
    syscalls.mount("tmpfs", dev, "tmpfs", syscalls.MS_NOSUID, "mode=755,size=4m,nr_inodes=4096")
    for name, (major, minor) in _NODES.items():
        os.mknod(f"{dev}/{name}", 0o666 | 0o020000, os.makedev(major, minor))
        os.chmod(f"{dev}/{name}", 0o666)
    for name, target in _LINKS.items():
        os.symlink(target, f"{dev}/{name}")
    os.mkdir(f"{dev}/pts")
    syscalls.mount(
        "devpts", f"{dev}/pts", "devpts", syscalls.MS_NOSUID | syscalls.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620,gid=5"
    )
    os.mkdir(f"{dev}/shm")
    syscalls.mount("tmpfs", f"{dev}/shm", "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, f"mode=1777,{_limit(10)}")


@contextmanager
def limiting(groups: Iterable[Path]) -> Iterator[None]:
    """Let programs that this process runs in a root be in these control groups, for the time of the block."""
    _limiting[:] = groups
    try:
        yield
    finally:
        _limiting.clear()


def run_in_root(root: StrPath, argv: Argv, *, env: Mapping[str, str] | None = None, **options: Any) -> Finished:
    """Run a program of a root with its API file systems with the root as its whole world; see :func:`vmimage.system.shell.run`.

    All that it has started has ended when this returns.

    :raises NotReady: where this machine cannot keep it in
    """
    return run(argv, env={**ROOT_ENVIRONMENT, **(env or {})}, preexec=entering(root), **options)


def entering(root: StrPath, settle: Callable[[], object] = lambda: None) -> Callable[[], None]:
    """For ``preexec``: the program has the root as its whole world, and is confined.

    :param settle: called last, in what becomes the program
    :raises NotReady: where this machine cannot keep it in
    """
    code = filter_code()

    def begin() -> None:
        doors = [os.open(group / "cgroup.procs", os.O_WRONLY) for group in _limiting]

        def confine_program() -> None:
            for door in doors:
                os.write(door, b"0")  # this process
            confine(code)
            settle()

        go_apart(lambda: _enter(os.fspath(root)), confine_program)

    return begin


def _enter(root: str) -> None:
    """Make the root the world of this process, and leave the machine's own files behind for good."""
    os.chdir(root)
    syscalls.pivot_root(".", ".")
    syscalls.umount(".", syscalls.MNT_DETACH)
    os.chdir("/")
    os.umask(0o022)
    syscalls.umount("/proc", syscalls.MNT_DETACH)  # it shows the processes of the build
    _mount_proc(files.own_directory("/", "proc"))
