"""The root: a base mounted read-only, and over it an overlay that takes what the build changes.

The base is never written, opening costs nothing, and what a build changed is plain to see.  The overlay is ``volatile``: no
fsync of dpkg reaches the disk, because a build that does not finish is thrown away.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from vmimage.errors import CommandFailed, NotReady, StillMounted
from vmimage.root.mounts import escaped_option, is_mounted, mount_image, mount_memory, source_of, unmount
from vmimage.root.workspace import Workspace
from vmimage.system.aliases import StrPath
from vmimage.system.digest import identity_of
from vmimage.system.shell import run
from vmimage.system.trees import remove_tree


@dataclass(frozen=True)
class Opened:
    """An open root.

    :ivar root: where it is mounted
    :ivar base_image: the file system below it
    :ivar source: what the mount is called: sets it apart from another mount that is later at the same place
    :ivar in_memory: whether what changes is kept in memory
    :ivar identity: of that file as it was mounted first (:func:`vmimage.system.digest.identity_of`); another may have its name by now
    """

    root: str
    base_image: str
    source: str
    in_memory: bool
    identity: list[int] = field(default_factory=list)


def prepare_root(workspace: Workspace, base_image: Path, root: Path, *, memory_mib: int = 0) -> Opened:
    """Make what a root needs to be mounted: directories, and the memory for what will change.

    The caller notes in its record what the mount will be before it mounts it: a mount that no record knows has no known owner.

    :param base_image: a file system image, only read
    :param root: where to mount; made if missing
    :param memory_mib: MiB of memory for what will change; 0: it goes to the disk
    :raises StillMounted: if something is mounted there already
    :raises NotReady: if the place is no empty directory
    """
    if is_mounted(root):
        raise StillMounted(
            f"something is mounted on {root} already", hint="vm_create.status says whose it is; vm_create.release closes it"
        )
    if root.exists() and any(root.iterdir()):
        raise NotReady(f"{root} is not empty", hint="set ami.root to an empty or new directory")
    in_memory = bool(memory_mib) and mount_memory(workspace.changes, memory_mib)
    for directory in (workspace.lower, workspace.upper, workspace.work, root):
        directory.mkdir(parents=True, exist_ok=True)
    # below /dev, where programs look for the device of a root
    source = f"/dev/vm_create-{uuid.uuid4().hex}"
    return Opened(os.fspath(root), os.fspath(base_image), source, in_memory, identity_of(base_image))


def mount_root(workspace: Workspace, opened: Opened, *, kept: bool = False) -> None:
    """Mount a base and its overlay.

    :param opened: of :func:`prepare_root`
    :param kept: the workspace is that of a failed build to look at
    """
    if kept:  # a volatile overlay refuses to be mounted again; this overlay was not interrupted by a crash of the machine
        remove_tree(workspace.work / "work" / "incompat", ignore_errors=True)
    mount_image(opened.base_image, workspace.lower, "ro")
    try:
        _mount_overlay(opened.source, (workspace.lower, workspace.upper, workspace.work), opened.root, is_volatile=not kept)
    except CommandFailed as error:
        unmount(workspace.lower)
        raise NotReady(
            f"no overlay can be mounted over {workspace.path}: {error.output.strip()}",
            hint="set ami.workspace to a directory on ext4, xfs or tmpfs; the kernel must have overlay (modprobe overlay)",
        ) from error


def _mount_overlay(source: str, directories: tuple[Path, Path, Path], point: StrPath, *, is_volatile: bool) -> None:
    """:param directories: the lower, the upper, and one to work in"""
    lower, upper, work = directories
    os.chmod(upper, os.stat(lower).st_mode & 0o7777)
    options = [
        f"lowerdir={escaped_option(lower)}",
        f"upperdir={escaped_option(upper)}",
        f"workdir={escaped_option(work)}",
        "index=on",  # hard links of the base stay hard links
        "redirect_dir=on",  # directories of the base can be renamed
        "nodev",
        *(["volatile"] if is_volatile else []),
    ]
    run(["mount", "-t", "overlay", "-o", ",".join(options), source, point])


@contextmanager
def open_copy(files: Path, top: Path, memory_mib: int = 0) -> Iterator[Path]:
    """A root with the files of a directory for the time of the block; what is changed there is thrown away.

    :param top: an empty directory is made here to work in
    :param memory_mib: MiB of memory that the changes may take; 0: they go to the disk
    """
    root, upper, work = top / "root", top / "upper", top / "work"
    in_memory = bool(memory_mib) and mount_memory(top, memory_mib)
    for directory in (root, upper, work):
        directory.mkdir(parents=True)
    try:
        _mount_overlay("vm_create", (files, upper, work), root, is_volatile=True)
        try:
            yield root
        finally:
            unmount(root)
    finally:
        if in_memory:
            unmount(top)


def is_open(opened: Opened | None) -> bool:
    """Whether a root is mounted, in this process's own view."""
    return opened is not None and source_of(opened.root) == opened.source


def unmount_root(opened: Opened | None) -> None:
    """Unmount the root alone: what it is made of stays mounted."""
    if opened is not None and is_open(opened):
        unmount(opened.root)


def close_root(workspace: Workspace, opened: Opened | None) -> None:
    """Unmount the root and its base; what the build changed stays in the workspace, unless it was in memory."""
    unmount_root(opened)
    unmount(workspace.lower)
    unmount(workspace.changes)
