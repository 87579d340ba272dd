"""Packages that dpkg need not decompress again: of those that builds share the content is kept, too, as a plain tar.

Decompressing nginx, postgresql-15 and what they need takes 3.5 s of a core, as long as all of dpkg's unpacking took: that waits for it.
So a build that brings packages decompresses them beside its own dpkg, by all cores, from when they are downloaded.
"""

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from vmimage.errors import CommandFailed
from vmimage.root.mounts import bind_read_only
from vmimage.root.runtime import write_program
from vmimage.system.aliases import StrPath
from vmimage.system.digest import identity_of
from vmimage.system.shell import run

# apt would start systemd-logind only to keep the machine from being powered off
_CONFIGURATION = """DPkg::Path "{home}/dpkg:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
DPkg::Inhibit-Shutdown "false";
"""
# dpkg asks for the content of a package by this program; the package must be the very package that the tar is of.  Who decompresses it
# now holds a lock: waiting for that is sooner done than decompressing it once more.  Where nobody has begun, dpkg does it itself, and its
# lock on the package lets others leave it until there is time
_PROGRAM = """#!/bin/sh
# Of vm_create, for the time of the build: what is decompressed already need not be decompressed again.
if [ "$#" = 2 ] && [ "$1" = --fsys-tarfile ]; then
    package=$(readlink -f "$2")
    shared={home}/packages/${{package##*/}}
    tar={home}/unpacked/${{package##*/}}.tar
    if [ ! -e "$tar" ] && [ -r "$shared" ]; then
        exec 9< "$shared"
        flock -s -w 1 9 2> /dev/null
        [ ! -e "$tar.partial" ] || flock -s "$tar.partial" true 2> /dev/null
    fi
    if [ -e "$tar" ]; then
        # the tar of another package may take its place at any instant: then it is not of what was compared
        {{ cmp -s "$package" "$shared" && [ "$tar" -ef /proc/self/fd/8 ] && exec cat <&8; }} 8< "$tar"
    fi
fi
exec /usr/bin/dpkg-deb "$@"
"""
#: gives a tar its name: takes the package, what it was like before (:func:`vmimage.system.digest.identity_of`), the tar, and its place
Keep = Callable[[Path, list[int], Path, Path], object]


def unpack_packages(packages: Path, unpacked: Path, keep: Keep, spare_mib: int = 0) -> None:
    """Decompress every package of a directory that is not yet, the largest first: dpkg waits for them longest.

    :param packages: of ``NAME.deb``
    :param unpacked: gets ``NAME.deb.tar``
    :param spare_mib: MiB that must stay free there
    """
    unpacked.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(lambda path: unpack_package(path, unpacked, keep, spare_mib), largest_first(packages.glob("*.deb"))))


def largest_first(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: (-path.stat().st_size, path.name))


def unpack_package(package: Path, unpacked: Path, keep: Keep, spare_mib: int = 0, patience: int = 0) -> bool:
    """Decompress a package, unless that is done, or another process is at it.  A kill leaves half a tar by another name.

    :param patience: how much more than this process what decompresses it lets others go first, as of nice(1)
    :returns: False where it is left to a root's dpkg that decompresses it now: it may be tried again
    """
    target = unpacked / f"{package.name}.tar"
    facts = os.statvfs(unpacked)
    if target.exists() or facts.f_bavail * facts.f_frsize >> 20 < spare_mib:
        return True
    with suppress(CommandFailed, FileNotFoundError), ExitStack() as held:
        # else packed in a way that this machine does not know, or gone: the root's dpkg will unpack it
        with open(package, "rb") as source:  # until the tar is begun: a dpkg that asks meanwhile finds that it is
            if not _is_free(source):
                return False
            partial = target.with_name(f"{target.name}.partial")
            file = held.enter_context(_held(partial))
        if file and not target.exists():
            before = identity_of(package)
            run(["nice", "-n", patience, "dpkg-deb", "--fsys-tarfile", package], stdout=file)
            keep(package, before, partial, target)
    return True


def _is_free(file: IO[bytes]) -> bool:
    """Lock a file, until it is closed, if no other process has it locked; returns whether."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _held(path: Path) -> Iterator[IO[bytes] | None]:
    """An empty file of this name, locked until the end of the block, and then gone; None where another process has it."""
    with open(path, "ab") as file:
        if not _is_free(file) or not _is_at(path, file):  # another has it, or who had it has just given it its name
            yield None
            return
        try:
            file.truncate(0)
            yield file
        finally:
            if _is_at(path, file):
                path.unlink()


def _is_at(path: Path, file: IO[bytes]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def remove_left(unpacked: Path) -> None:
    """Remove what killed builds left half decompressed."""
    for left in unpacked.glob("*.partial"):
        with _held(left):
            pass


def show_unpacked(root: StrPath, home: str, packages: Path, unpacked: Path) -> None:
    """Show the packages and their content to a root with its API file systems.  For a private namespace only: nothing is unmounted.

    :param root: with its API file systems
    :param home: the directory of ours in the root
    :param packages: as for :func:`unpack_packages`
    """
    top = Path(f"{root}{home}")
    for name, directory in (("packages", packages), ("unpacked", unpacked)):
        (top / name).mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # nothing is shared yet
            bind_read_only(directory, top / name)
    (top / "dpkg").mkdir(exist_ok=True)
    write_program(top / "dpkg/dpkg-deb", _PROGRAM.format(home=home))
    (top / "apt.conf").write_text(_CONFIGURATION.format(home=home), encoding="utf-8")


def apt_environment(home: str) -> dict[str, str]:
    """Environment variables for apt, so that its dpkg looks there first."""
    return {"APT_CONFIG": f"{home}/apt.conf"}
