"""What apt downloads, shared by builds and kept out of images: lists (:mod:`vmimage.apt.lists`) and packages.

CACHE/apt/archives/KEY         packages, each as the lists of this KEY describe it: apt looks at nothing but the size of what it finds
                               here, so that a base must not provide for another
CACHE/apt/unpacked/KEY         their content, decompressed
CACHE/apt/digests/KEY.json     of both

All are read before a root is shown them: what is damaged, or has no digest, is removed and comes again.
"""

import fcntl
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from vmimage.apt.lists import CACHE, AptLists, digests_below, digests_of, mount_overlay, plain_files, unless_shown
from vmimage.apt.unpacked import largest_first, remove_left, show_unpacked, unpack_package, unpack_packages
from vmimage.root import files
from vmimage.root.runtime import HOME
from vmimage.system.aging import is_old
from vmimage.system.aliases import Say, StrPath
from vmimage.system.background import BackgroundTask
from vmimage.system.digest import QUICK, digest_of_file, identity_of, read_record, write_record
from vmimage.system.trees import remove_tree

#: ``{path: (what it was like, digest)}`` of files that were read
Read = dict[Path, tuple[tuple[int, ...], str]]
_LOOK_SECONDS = 0.1


class AptCache(AptLists):
    """The lists and packages of a build."""

    def __init__(self, cache: StrPath, own: StrPath, root: StrPath, base_digest: str) -> None:
        super().__init__(cache, own, root, base_digest)
        self.archives, self.unpacked = self.top / "archives" / self.key, self.top / "unpacked" / self.key
        self._read: Read = {}

    def show(self, *, varies: bool = False, say: Say = lambda line: None) -> None:
        """Show lists and packages to the root with its API file systems.  For a private namespace only: nothing is unmounted.

        :param varies: to a variation: what comes of the lists is not to be shared from now on
        :param say: called with a line about each file that is damaged
        """
        self.begin()
        self.drop_damaged_lists(say)
        self.show_lists()
        if varies:
            (self.own / "varied").touch()
        self.show_packages(say)

    def show_packages(self, say: Say) -> None:
        """Show the packages, once the lists are shown: all are read before."""
        # a volatile overlay is mounted only once while this directory is there
        remove_tree(self.own / "work/work/incompat", ignore_errors=True)
        point = files.own_directory(self.root, f"{CACHE}/archives")
        if not self._drop_damaged(say):  # and cannot be mended: this build downloads for itself
            show_unpacked(self.root, HOME, self.own / "none", self.own / "none")
            return
        with suppress(OSError):  # then this build downloads for itself
            for directory in (self.archives, self.unpacked):  # what comes there while the root is shown them is seen, too
                directory.mkdir(parents=True, exist_ok=True)
            fcntl.flock(os.open(self.archives, os.O_RDONLY), fcntl.LOCK_SH)  # until this process ends nothing is removed there
            mount_overlay(self.archives, self.own / "archives", self.own / "work", point)
        show_unpacked(self.root, HOME, self.archives, self.unpacked)

    def keep_archives(self) -> None:
        """Share the packages that were downloaded, each if it is what the shared lists say of it; remove what is old."""
        with self.locked():
            self.archives.mkdir(parents=True, exist_ok=True)
            for left in self.archives.glob("*.partial"):  # of a run that was killed
                left.unlink()
            self._keep_archives()
            self._remove_old()
            self._note({})

    def follow(self, has_ended: Callable[[], bool], spare_mib: int = 0) -> None:
        """Share packages while the variation downloads them, and decompress them beside its dpkg: it waits for that.

        What it decompresses itself comes last, beside the scripts of the packages: they need no more than a core.

        :param has_ended: says, with the cache's lock held, whether the build's own directory is not to be looked at any more
        :param spare_mib: as for :meth:`unpack`
        """
        seen: dict[Path, tuple[int, ...]] = {}
        kept: set[str] = set()
        left: list[Path] = []
        running: dict[Path, Future[bool]] = {}
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            while True:
                with self.locked():
                    if has_ended():
                        return
                    before, seen = seen, _states(plain_files(self.own / "archives", "*.deb"))
                    # all that come at once together: their sizes and digests are looked for in all lists
                    came = largest_first(self._keep_archives()) if seen == before and {*map(_name_of, seen)} - kept else []
                    if seen == before:
                        kept = {*map(_name_of, seen)}
                ended = {path: future for path, future in running.items() if future.done()}
                left += [path for path, future in ended.items() if not future.exception() and not future.result()]
                running = {path: future for path, future in running.items() if path not in ended}
                todo, patience = (came, 0) if came or running else (left, 10)
                left = left if todo is came else []
                running |= {
                    path: pool.submit(unpack_package, path, self.unpacked, self._keep_unpacked, spare_mib, patience)
                    for path in todo
                }
                time.sleep(_LOOK_SECONDS)

    def unpack(self, spare_mib: int = 0) -> None:
        """Decompress the shared packages that are not yet; another build may go on meanwhile, and a kill leaves nothing half made.

        :param spare_mib: MiB that must stay free
        """
        remove_left(self.unpacked)
        unpack_packages(self.archives, self.unpacked, self._keep_unpacked, spare_mib)

    def _keep_archives(self) -> list[Path]:
        """With the lock held: share what was downloaded and is not shared; returns what came."""
        found = {path.name: path for path in plain_files(self.own / "archives", "*.deb") if not self._has(path)}
        listed = _listed(self.shared / "lists", set(found)) if found else {}
        came = [self.archives / name for name, (size, digest) in listed.items() if self._keep_archive(found[name], size, digest)]
        if came:
            self._note(digests_below(came, self.top))
        return came

    def _has(self, package: Path) -> bool:
        """Whether a package of this name and size is shared: apt looks at nothing else."""
        with suppress(FileNotFoundError):
            return (self.archives / package.name).stat().st_size == package.stat().st_size
        return False

    def _keep_unpacked(self, package: Path, before: list[int], partial: Path, target: Path) -> None:
        digest = digest_of_file(partial, QUICK)
        with self.locked():
            if identity_of(package) == before:  # else it is of another package by this name
                os.replace(partial, target)
                self._note({self._name(target): digest})

    def _note(self, digests: dict[str, str]) -> None:
        """With the lock held: note the digests of packages, and of their content, that came, and forget those of what is gone."""
        known, there = read_record(self.record) or {}, {self._name(path) for path in self._packages()}
        noted = {name: digest for name, digest in {**known, **digests}.items() if name in there}
        if noted != known:
            self.record.parent.mkdir(exist_ok=True)
            write_record(self.record, noted, lasts=False)

    @property
    def record(self) -> Path:
        """The file of what packages and their content were when they came: apt looks at their size, dpkg-deb at nothing."""
        return self.top / "digests" / f"{self.archives.name}.json"

    def _name(self, path: Path) -> str:
        return os.fspath(path.relative_to(self.top))

    def _packages(self) -> list[Path]:
        return [*plain_files(self.archives, "*.deb"), *plain_files(self.unpacked, "*.deb.tar")]

    def begin_reading_packages(self) -> BackgroundTask[Read]:
        """Read packages and their content beside other work, for :meth:`has_read`."""

        def read() -> Read:
            os.nice(5)  # before the base is read, which is needed later
            states = _states(self._packages())
            return {path: (states[path], digest) for path, digest in zip(states, digests_of(states), strict=True)}

        return BackgroundTask(read, f"reading {self.archives}")

    def has_read(self, read: Read) -> None:
        """Packages that are still the same files need not be read again."""
        self._read = read

    def _drop_damaged(self, say: Say) -> bool:
        """Remove packages that are not what came into the cache: they are fetched and decompressed again.

        :returns: whether what is left may be shown
        """
        if not self._damaged(self._packages()):
            return True
        try:
            self.archives.mkdir(parents=True, exist_ok=True)
            with self.locked(), unless_shown(self.archives) as free:
                damaged = self._damaged(self._packages())  # another build may just have brought some
                for path, is_known in sorted(damaged.items()) if free else ():
                    if is_known:
                        say(f"{path} is damaged: it is removed, and made again")
                    path.unlink(missing_ok=True)
                return free or not damaged
        except OSError:  # the cache is only read
            return False

    def _damaged(self, paths: Iterable[Path]) -> dict[Path, bool]:
        """``{path: whether it is known what it was}`` of files that are not what came, the record of what came among them."""
        found = {}
        known = read_record(self.record, lambda path: found.update({path: True})) or {}
        states = _states(self._read)
        read = {self._name(path): digest for path, (state, digest) in self._read.items() if states.get(path) == state}
        digests = read | digests_below([path for path in paths if self._name(path) in known.keys() - read.keys()], self.top)
        names = {path: self._name(path) for path in paths}
        return found | {path: name in known for path, name in names.items() if known.get(name, "") != digests.get(name)}

    def _keep_archive(self, path: Path, size: str, digest: str) -> bool:
        target, partial = self.archives / path.name, self.archives / f"{path.name}.partial"
        if str(path.stat().st_size) != size or target.exists() and str(target.stat().st_size) == size:
            return False
        try:
            shutil.copyfile(path, partial, follow_symlinks=False)
            # a link, if the root has just put one there, leads to what the builder must not open
            if partial.is_symlink() or digest_of_file(partial) != f"sha256:{digest}":
                return False
            (self.unpacked / f"{target.name}.tar").unlink(missing_ok=True)  # of another package by this name
            os.replace(partial, target)
            return True
        finally:
            partial.unlink(missing_ok=True)

    def _remove_old(self) -> None:
        for archives in [path for path in (self.top / "archives").iterdir() if path.is_dir()]:
            with unless_shown(archives) as free:
                unpacked = self.top / "unpacked" / archives.name
                for path in [*archives.iterdir(), *unpacked.glob("*")] if free else ():
                    if is_old(path):
                        path.unlink()
        listed = [path for path in self.top.iterdir() if re.fullmatch("[0-9a-f]{32}", path.name) and is_old(path)]
        self._remove_lists([*listed, *self.top.glob("left-*")])


def _states(paths: Iterable[Path]) -> dict[Path, tuple[int, ...]]:
    """``{path: what changes when another file is put there}`` of files that are there."""
    found: dict[Path, tuple[int, ...]] = {}
    for path in paths:
        with suppress(FileNotFoundError):
            fact = path.stat()
            found[path] = fact.st_ino, fact.st_size, fact.st_mtime_ns
    return found


def _name_of(path: Path) -> str:
    return path.name


def _listed(lists: Path, names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """``{file name of a package: (size, sha256)}`` as the lists say; packed lists are not read."""
    parts = {name: re.fullmatch(r"(.+)_(.+)_(.+)\.deb", name) for name in names}
    wanted = {(part[1], part[2].replace("%3a", ":"), part[3]): name for name, part in parts.items() if part}
    packages = {f"Package: {package}".encode(errors="surrogateescape") for package, _, _ in wanted}
    found = {}
    for path in plain_files(lists, "*_Packages"):
        for stanza in path.read_bytes().split(b"\n\n"):
            if stanza.partition(b"\n")[0] in packages:
                fields = dict(line.split(": ", 1) for line in stanza.decode(errors="replace").splitlines() if ": " in line)
                name = wanted.get((fields.get("Package", ""), fields.get("Version", ""), fields.get("Architecture", "")))
                if name and {"Size", "SHA256"} <= fields.keys():
                    found[name] = fields["Size"], fields["SHA256"]
    return found
