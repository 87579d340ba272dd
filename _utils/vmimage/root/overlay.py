"""The root: a base mounted read-only, and over it an overlay that takes what the build changes.

The base is never written, opening costs nothing, and what a build changed is plain to see.  The overlay is ``volatile``: no
fsync of dpkg reaches the disk, because a build that does not finish is thrown away.
"""

import os
import uuid

from vmimage.errors import CommandFailed, NotReady, RootNotOpen, StillMounted
from vmimage.root.mounts import escaped_option, is_mounted, mount_image, source_of, unmount
from vmimage.root.workspace import all_workspaces
from vmimage.system.shell import run
from vmimage.system.trees import remove_tree


def open_root(workspace, base_image, root, *, kept=False, memory_mib=0):
    """Mount a base and its overlay.

    :param Workspace workspace: fresh, or with ``kept`` the one of a failed build to look at
    :param Path base_image: a file system image, only read
    :param Path root: where to mount; made if missing
    :param int memory_mib: MiB of memory for what will change; 0: it goes to the disk
    :raises StillMounted: if something is mounted there already
    """
    if is_mounted(root):
        raise StillMounted(
            f"something is mounted on {root} already", hint="vm_create.status tells whose it is; vm_create.release closes it"
        )
    if root.exists() and any(root.iterdir()):
        raise NotReady(f"{root} is not empty", hint="set ami.root to an empty or new directory")
    in_memory = bool(memory_mib) and _mount_memory(workspace.changes, memory_mib)
    for directory in (workspace.lower, workspace.upper, workspace.work, root):
        directory.mkdir(parents=True, exist_ok=True)
    if kept:  # a volatile overlay refuses to be mounted again; this one was not interrupted by a crash of the machine
        remove_tree(workspace.work / "work" / "incompat", ignore_errors=True)
    options = [
        f"lowerdir={escaped_option(workspace.lower)}",
        f"upperdir={escaped_option(workspace.upper)}",
        f"workdir={escaped_option(workspace.work)}",
        "index=on",  # hard links of the base stay hard links
        "redirect_dir=on",  # directories of the base can be renamed
        "nodev",
        *([] if kept else ["volatile"]),
    ]
    # tells this mount from another that is later at the same place; below /dev, where programs look for the device of a root
    source = f"/dev/vm_create-{uuid.uuid4().hex}"
    workspace.note(
        "opened", {"root": os.fspath(root), "base_image": os.fspath(base_image), "source": source, "in_memory": in_memory}
    )
    mount_image(base_image, workspace.lower, "ro")
    os.chmod(workspace.upper, os.stat(workspace.lower).st_mode & 0o7777)
    try:
        run(["mount", "-t", "overlay", "-o", ",".join(options), source, root])
    except CommandFailed as error:
        unmount(workspace.lower)
        raise NotReady(
            f"no overlay can be mounted over {workspace.path}: {error.output.strip()}",
            hint="set ami.workspace to a directory on ext4, xfs or tmpfs; the kernel must have overlay (modprobe overlay)",
        ) from error


def _mount_memory(path, mib):
    """A tmpfs, if this kernel's takes all that a disk would; returns whether."""
    path.mkdir(parents=True, exist_ok=True)
    run(["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=755,nodev", "vm_create", path])
    try:
        os.setxattr(path, "user.vm_create", b"1")
    except OSError:  # before Linux 6.6
        unmount(path)
        return False
    os.removexattr(path, "user.vm_create")
    return True


def is_open(workspace):
    """Whether the root of a workspace is mounted, in this process's own view."""
    opened = workspace.noted("opened")
    return bool(opened) and source_of(opened["root"]) == opened["source"]


def close_root(workspace):
    """Unmount the root and its base; what the build changed stays in the workspace, unless it was in memory."""
    if is_open(workspace):
        unmount(workspace.noted("opened")["root"])
    unmount(workspace.lower)
    unmount(workspace.changes)


def owner_of(root, directory):
    """The workspace whose root is mounted at a path.

    :raises RootNotOpen: if the path is none of ours
    """
    wanted = os.path.realpath(root)
    for workspace in all_workspaces(directory):
        opened = workspace.noted("opened")
        if opened and os.path.realpath(opened["root"]) == wanted and is_open(workspace):
            return workspace
    raise RootNotOpen(f"no root is open at {root}", hint="open one with: salt-call state.sls ami_creator_pre")
