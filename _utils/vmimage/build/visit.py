"""A visit to a root: a shell on a terminal, or a command, confined as the programs of a build are.

It is the root that a build has left open; what is done there stays.  Where none is open, it is a copy of the finished root image: a tmpfs
takes the changes, and is gone at the end.
"""

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from vmimage.build.build import Build
from vmimage.build.preflight import check_basics
from vmimage.errors import NotReady, RootNotOpen, printable
from vmimage.root import files
from vmimage.root.enter import maker_of_runtime_directories, work_inside
from vmimage.root.mounts import mount_image, run_in_root
from vmimage.root.name_servers import remove_copies
from vmimage.root.terminal import raw_terminal, run_on_terminal
from vmimage.system.groups import group_name, swept
from vmimage.system.namespace import run_privately
from vmimage.system.shell import run

Result = TypeVar("Result")
#: a visitor leaves no history in an image
_QUIET = {"HISTFILE": "", "LESSHISTFILE": "-"}
_OUTPUT_BYTES = 1 << 20
_CODES = range(-64, 256)


def run_command(build: Build, command: str) -> dict[str, Any]:
    """Run a shell command in the root of a build.

    :returns: as :func:`_visited`, and ``output``, of which the first MiB
    """
    lines: list[str] = []
    bytes_left, left_out = _OUTPUT_BYTES, 0

    def keep(line: str) -> None:
        nonlocal bytes_left, left_out
        bytes_left -= len(line) + 1
        if bytes_left < 0:
            left_out += 1
        else:
            lines.append(printable(line))

    def work(root: Path) -> tuple[int, str]:
        code = run_in_root(root, ["/bin/sh", "-c", command], env=_QUIET, ok=_CODES, on_line=keep).code
        more = [f"... and {left_out} lines more"] if left_out else []
        return 128 - code if code < 0 else code, "\n".join([*lines, *more])

    place, (code, output) = _visited(build, work)
    return {"place": place, "retcode": code, "output": output}


def open_shell(build: Build, *, reading: int = 0, writing: int = 1) -> dict[str, Any]:
    """Give the caller's terminal a shell in the root of a build, until the shell ends.

    :param reading: descriptor of the terminal
    :param writing: descriptor of the same
    :returns: as :func:`_visited`
    :raises NotReady: where there is no terminal
    """
    if not (os.isatty(reading) and os.isatty(writing)):
        raise NotReady("there is no terminal for a shell", hint='give a command: command="dpkg -l", or call it from a terminal')
    name = os.environ.get("TERM", "")
    env = {**_QUIET, "TERM": name if re.fullmatch(r"[\w.+-]{1,64}", name) else "dumb"}

    def work(root: Path) -> int:
        shell = "/bin/bash" if files.is_file(root, "/bin/bash") else "/bin/sh"
        return run_on_terminal(root, [shell, "-i"], env=env, reading=reading, writing=writing)

    with raw_terminal(reading):
        place, code = _visited(build, work, say=lambda line: os.write(writing, f"{line}\r\n".encode()))
    return {"place": place, "retcode": code}


def _visited(
    build: Build, work: Callable[[Path], Result], say: Callable[[str], object] = lambda line: None
) -> tuple[str, Result]:
    """Do something in the root of a build.

    :returns: ``(place, what the work returns)``; the place is where the root is open, or the root image
    :raises WorkspaceBusy: if a build is under way
    :raises RootNotOpen: if no root is open, and there is no image
    """
    check_basics()
    workspace, image = build.workspace, build.triplet.root_image
    if not (build.is_open() or image.exists() or workspace.is_busy()):
        raise RootNotOpen(
            f"no root of {workspace.name} is open, and there is no image {image}",
            hint="keep_on_failure=True keeps the root of a build that fails; salt-call state.sls "
            f"{build.settings.pre} opens a root to work in step by step",
        )
    with workspace.locked():
        if build.is_open():
            build.note_change_of_root()
            say(f"in {build.root}: what you do stays in this root; exit ends the shell")
            done = _worked(build, build.root, work)
            remove_copies(build.root, workspace.upper, build.network())
            return os.fspath(build.root), done
        say(f"in a copy of {image}, which is forgotten; exit ends the shell")
        with tempfile.TemporaryDirectory(prefix="vm_create-shell-") as directory:
            return os.fspath(image), run_privately(lambda: _worked(build, _mount_copy(image, Path(directory)), work))


def _worked(build: Build, root: Path, work: Callable[[Path], Result]) -> Result:
    def work_in_root() -> Result:
        if maker := maker_of_runtime_directories(root):
            run_in_root(root, maker)
        return work(root)

    varied, group = build.record.varied, group_name(build.settings)
    hostname = varied.id if varied else build.settings.name
    with swept(build.settings):
        return work_inside(root, work_in_root, hostname=hostname, kind_of_network=build.network(), group=group)


def _mount_copy(image: Path, directory: Path) -> Path:
    """Mount a root image with a tmpfs over it that takes what is changed; for a private namespace: nothing is unmounted."""
    run(["mount", "-t", "tmpfs", "-o", "mode=700,nodev", "vm_create", directory])
    lower, upper, work, root = (directory / name for name in ("lower", "upper", "work", "root"))
    for place in (lower, upper, work, root):
        place.mkdir()
    mount_image(image, lower, "ro")
    upper.chmod(lower.stat().st_mode & 0o7777)
    run(["mount", "-t", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work},nodev", "vm_create", root])
    return root
