"""Packages that dpkg need not decompress again: of those that builds share the content is kept, too, as a plain tar.

Decompressing nginx, postgresql-15 and what they need takes 3.5 s of a core, as long as all of dpkg's unpacking took: that waits for it.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

from vmimage.errors import CommandFailed
from vmimage.root.mounts import bind_read_only
from vmimage.system.aliases import StrPath
from vmimage.system.digest import identity_of
from vmimage.system.shell import run
from vmimage.system.whole_files import sync

# apt would start systemd-logind only to keep the machine from being powered off
_CONFIGURATION = """DPkg::Path "{home}/dpkg:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
DPkg::Inhibit-Shutdown "false";
"""
# dpkg asks for the content of a package by this program; the package must be the very package that the tar is of
_PROGRAM = """#!/bin/sh
# Of vm_create, for the time of the build: what an earlier build has decompressed need not be decompressed again.
if [ "$#" = 2 ] && [ "$1" = --fsys-tarfile ]; then
    package=$(readlink -f "$2")
    name=${{package##*/}}
    [ -e "{home}/unpacked/$name.tar" ] && cmp -s "$package" "{home}/packages/$name" && exec cat "{home}/unpacked/$name.tar"
fi
exec /usr/bin/dpkg-deb "$@"
"""


def unpack_packages(
    packages: Path, unpacked: Path, spare_mib: int = 0, holding: Callable[[], AbstractContextManager[object]] = nullcontext
) -> None:
    """Decompress every package of a directory that is not yet.

    :param packages: of ``NAME.deb``
    :param unpacked: gets ``NAME.deb.tar``
    :param spare_mib: MiB that must stay free there
    :param holding: makes a context in which nobody else changes these packages; only in that a tar gets its name
    """
    unpacked.mkdir(parents=True, exist_ok=True)
    missing = [path for path in packages.glob("*.deb") if not (unpacked / f"{path.name}.tar").exists()]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(lambda path: _unpack(path, unpacked / f"{path.name}.tar", spare_mib, holding), missing))


def _unpack(package: Path, target: Path, spare_mib: int, holding: Callable[[], AbstractContextManager[object]]) -> None:
    facts = os.statvfs(target.parent)
    if facts.f_bavail * facts.f_frsize >> 20 < spare_mib:
        return
    partial = target.with_name(f"{target.name}.partial")
    try:
        before = identity_of(package)
        with open(partial, "wb") as file:
            run(["dpkg-deb", "--fsys-tarfile", package], stdout=file)
        sync(partial)  # half a tar would be half a package, and dpkg would not know
        with holding():
            if identity_of(package) == before:  # else it is of another package by this name
                os.replace(partial, target)
    except (
        CommandFailed,
        FileNotFoundError,
    ):  # packed in a way that this machine does not know, or gone: the root's dpkg will unpack it
        pass
    finally:
        partial.unlink(missing_ok=True)


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
    program = top / "dpkg/dpkg-deb"
    program.write_text(_PROGRAM.format(home=home), encoding="utf-8")
    program.chmod(0o755)
    (top / "apt.conf").write_text(_CONFIGURATION.format(home=home), encoding="utf-8")


def apt_environment(home: str) -> dict[str, str]:
    """Environment variables for apt, so that its dpkg looks there first."""
    return {"APT_CONFIG": f"{home}/apt.conf"}
