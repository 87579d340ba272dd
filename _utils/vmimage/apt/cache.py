"""What apt downloads, shared by builds and kept out of images.

CACHE/apt/KEY/lists, KEY/bin   apt's lists as the update of a root found them, and what apt computed from them; KEY is a digest of
                               the base and of the root's sources, so that no root reads lists that another base vouched for
CACHE/apt/KEY/record.json      what the archives offered then, which packages are the newest by that, and digests of both
CACHE/apt/archives/KEY         packages, each as those lists describe it: apt looks at nothing but the size of what it finds here,
                               so that a base must not provide for another
CACHE/apt/unpacked/KEY         their content, decompressed
CACHE/apt/digests/KEY.json     of both

A root is shown copies: what its variation does to them stays with the build.  All are read before a root is shown them: what is
damaged, or has no digest, is removed and comes again.
"""

import fcntl
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from filecmp import cmp
from pathlib import Path
from typing import Any

from vmimage.apt.unpacked import show_unpacked, unpack_packages
from vmimage.errors import CommandFailed
from vmimage.root import files
from vmimage.root.mounts import escaped_option
from vmimage.root.runtime import HOME
from vmimage.system import syscalls
from vmimage.system.aging import is_old
from vmimage.system.aliases import Say, StrPath
from vmimage.system.digest import digest_of_file, read_record, write_record
from vmimage.system.lock import locked
from vmimage.system.shell import run
from vmimage.system.trees import remove_tree
from vmimage.system.whole_files import read_json, sync, write_json

_LISTED = ("lists", "bin")
_LISTS, _CACHE = "/var/lib/apt/lists", "/var/cache/apt"
_UNKNOWN: dict[str, Any] = {"offered": None, "newest": None}
# neither owner nor mode: what a root calls setuid is nothing for a directory of the machine that all may read
_COPY = ["cp", "--no-dereference", "--preserve=timestamps", "--reflink=auto"]


class AptCache:
    """The lists and packages of a build.

    :param cache: the directory ``apt`` is made in it
    :param own: of the build: where its copies are
    :param root: mounted
    """

    def __init__(self, cache: StrPath, own: StrPath, root: StrPath, base_digest: str) -> None:
        self.top, self.own, self.root = Path(cache) / "apt", Path(own), root
        key = hashlib.sha256("\n".join([base_digest, *_sources(root)]).encode()).hexdigest()[:32]
        self.shared, self.archives, self.unpacked = self.top / key, self.top / "archives" / key, self.top / "unpacked" / key

    def show(self, *, varies: bool = False, say: Say = lambda line: None) -> None:
        """Show lists and packages to the root with its API file systems.  For a private namespace only: nothing is unmounted.

        :param varies: to a variation: what comes of the lists is not to be shared from now on
        :param say: called with a line about each file that is damaged
        """
        self.show_lists(say)
        if varies:
            (self.own / "varied").touch()
        self.show_packages(say)

    def show_lists(self, say: Say) -> None:
        """Show the build's copies of the lists."""
        if not self.own.exists():
            self._begin(say)
        syscalls.mount(self.own / "lists", files.own_directory(self.root, _LISTS), flags=syscalls.MS_BIND)
        syscalls.mount(self.own / "bin", files.own_directory(self.root, _CACHE), flags=syscalls.MS_BIND)

    def show_packages(self, say: Say) -> None:
        """Show the packages, once the lists are shown: all are read before."""
        places = {"lowerdir": self.archives, "upperdir": self.own / "archives", "workdir": self.own / "work"}
        options = ",".join(["volatile", *(f"{option}={escaped_option(place)}" for option, place in places.items())])
        # a volatile overlay is mounted only once while this directory is there
        remove_tree(self.own / "work/work/incompat", ignore_errors=True)
        point = files.own_directory(self.root, f"{_CACHE}/archives")
        if not self._drop_damaged(say):  # and cannot be mended: this build downloads for itself
            show_unpacked(self.root, HOME, self.own / "none", self.own / "none")
            return
        with suppress(OSError):  # then this build downloads for itself
            self.archives.mkdir(parents=True, exist_ok=True)
            fcntl.flock(os.open(self.archives, os.O_RDONLY), fcntl.LOCK_SH)  # until this process ends nothing is removed there
            syscalls.mount("vm_create-archives", point, "overlay", 0, options)
        show_unpacked(self.root, HOME, self.archives, self.unpacked)

    def _begin(self, say: Say) -> None:
        partial = self.own.with_name(f"{self.own.name}.partial")
        remove_tree(partial, ignore_errors=True)  # of a run that was killed
        for name in ("lists", "bin", "bin/archives", "archives", "archives/partial", "work"):
            (partial / name).mkdir(parents=True)
            (partial / name).chmod(0o755)  # apt looks into them as another user
        with self._locked():
            damaged: list[Path] = []
            record = read_record(self.shared / "record.json", damaged.append) or {}
            for name in _LISTED if record else ():
                with suppress(CommandFailed):  # what a disk cannot read is damaged, too
                    _copy(_files(self.shared / name), partial / name)
            copies = _digests([path for name in _LISTED for path in _files(partial / name)], partial)
            expected = record.get("digests", {})
            damaged += [self.shared / name for name in copies.keys() | expected.keys() if copies.get(name) != expected.get(name)]
            if damaged:
                say(f"{sorted(map(str, damaged))[0]} is damaged: apt's lists are removed from the cache, and fetched again")
                for path in [path for name in _LISTED for path in _files(partial / name)]:
                    path.unlink()
                with suppress(OSError):  # the cache is only read
                    remove_tree(self.shared)
            known = {key: value for key, value in record.items() if key != "digests"} if record and not damaged else _UNKNOWN
            write_json(partial / "known.json", known, lasts=False)
        partial.rename(self.own)

    def known(self) -> dict[str, Any]:
        """What was known when the lists that are shown were fetched: a dict of

        ``offered``: what the archives offered, as of :func:`vmimage.apt.releases.note_offers`, or None;
        ``newest``: packages of which nothing newer was to be had, as of :func:`vmimage.apt.packages.digest_of_packages`, or None.
        """
        return read_json(self.own / "known.json", _UNKNOWN)

    def _locked(self) -> AbstractContextManager[None]:
        return locked(self.top / "lock", "the cache of apt", wait=True, doing="used")

    def recognize_lists(self) -> None:
        """Give lists that are what they were their old times: then apt need not compute from them again.

        Apt fetches some again where a server does not say since when they have not changed.
        """
        with self._locked():
            for shared in _files(self.shared / "lists", "*_*"):
                own, facts = self.own / "lists" / shared.name, shared.stat()
                if _is_file(own) and own.stat().st_mtime_ns != facts.st_mtime_ns and cmp(own, shared, False):
                    os.utime(own, ns=(facts.st_atime_ns, facts.st_mtime_ns), follow_symlinks=False)

    def keep_lists(self, known: dict[str, Any] | None = None) -> None:
        """Share the lists after an update, before the variation could change them.

        :param known: by these lists, as of :meth:`known`
        """
        known = known or _UNKNOWN
        if (self.own / "varied").exists():
            return
        with self._locked():
            for left in self.top.glob("partial-*"):  # of a run that was killed
                remove_tree(left)
            record = read_record(self.shared / "record.json")
            if record and _state(self.own / "lists") == _state(self.shared / "lists"):
                if record != {**record, **known}:
                    write_record(self.shared / "record.json", {**record, **known})
                os.utime(self.shared)
                return
            partial = self.top / f"partial-{uuid.uuid4().hex}"
            try:
                for name, pattern in (("lists", "*_*"), ("bin", "*.bin")):
                    (partial / name).mkdir(parents=True)
                    _copy(_files(self.own / name, pattern), partial / name)
                for path in (partial / "lists").iterdir():
                    sync(path)  # apt believes what it finds beside an InRelease: no half after a crash
                digests = _digests([path for name in _LISTED for path in _files(partial / name)], partial)
                write_record(partial / "record.json", {**known, "digests": digests})
                remove_tree(self.shared, ignore_errors=True)
                partial.rename(self.shared)
            finally:
                remove_tree(partial, ignore_errors=True)

    def keep_archives(self, spare_mib: int = 0) -> None:
        """Share the packages that were downloaded, each if it is what the shared lists say of it; remove what is old.

        :param spare_mib: MiB that must stay free when they are decompressed
        """
        with self._locked():
            self.archives.mkdir(parents=True, exist_ok=True)
            for left in [*self.archives.glob("*.partial"), *self.unpacked.glob("*.partial")]:  # of a run that was killed
                left.unlink()
            known, before = read_record(self._record) or {}, self._states()
            found = {path.name: path for path in _files(self.own / "archives", "*.deb")}
            for name, facts in (_listed(self.shared / "lists", set(found)) if found else {}).items():
                self._keep_archive(found[name], *facts)
            self._remove_old()
            unpack_packages(self.archives, self.unpacked, spare_mib)
            now = self._states()
            came = [path for path, state in now.items() if before.get(path) != state]
            digests = {name: known[name] for name in map(self._name, now) if name in known} | _digests(came, self.top)
            self._record.parent.mkdir(exist_ok=True)
            write_record(self._record, digests, lasts=False)

    @property
    def _record(self) -> Path:
        """The file of what packages and their content were when they came: apt looks at their size, dpkg-deb at nothing."""
        return self.top / "digests" / f"{self.archives.name}.json"

    def _name(self, path: Path) -> str:
        return os.fspath(path.relative_to(self.top))

    def _packages(self) -> list[Path]:
        return [path for directory in (self.archives, self.unpacked) for path in _files(directory, "*.deb*")]

    def _states(self) -> dict[Path, tuple[int, ...]]:
        """``{path: what changes when another file is put there}`` of packages and of their content, decompressed."""
        facts = {path: path.stat() for path in self._packages()}
        return {path: (fact.st_ino, fact.st_size, fact.st_mtime_ns) for path, fact in facts.items()}

    def _drop_damaged(self, say: Say) -> bool:
        """Remove packages that are not what came into the cache: they are fetched and decompressed again.

        :returns: whether what is left may be shown
        """
        if not self._damaged(self._packages()):
            return True
        try:
            self.archives.mkdir(parents=True, exist_ok=True)
            with self._locked(), _unless_shown(self.archives) as free:
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
        known = read_record(self._record, lambda path: found.update({path: True})) or {}
        digests = _digests([path for path in paths if self._name(path) in known], self.top)
        names = {path: self._name(path) for path in paths}
        return found | {path: name in known for path, name in names.items() if known.get(name, "") != digests.get(name)}

    def _keep_archive(self, path: Path, size: str, digest: str) -> None:
        target, partial = self.archives / path.name, self.archives / f"{path.name}.partial"
        if str(path.stat().st_size) != size or target.exists() and str(target.stat().st_size) == size:
            return
        try:
            shutil.copyfile(path, partial, follow_symlinks=False)
            if digest_of_file(partial) == f"sha256:{digest}":
                (self.unpacked / f"{target.name}.tar").unlink(missing_ok=True)  # of another package by this name
                os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)

    def _remove_old(self) -> None:
        for archives in [path for path in (self.top / "archives").iterdir() if path.is_dir()]:
            with _unless_shown(archives) as free:
                unpacked = self.top / "unpacked" / archives.name
                for path in [*archives.iterdir(), *unpacked.glob("*")] if free else ():
                    if is_old(path):
                        path.unlink()
        for lists in self.top.iterdir():
            if re.fullmatch("[0-9a-f]{32}", lists.name) and is_old(lists):
                remove_tree(lists)


@contextmanager
def _unless_shown(archives: Path) -> Iterator[bool]:
    """Whether no root is shown these packages; none is for the time of the block."""
    descriptor, is_free = os.open(archives, os.O_RDONLY), False
    try:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_free = True
        yield is_free
    finally:
        os.close(descriptor)


def _digests(files: Collection[Path], top: Path) -> dict[str, str]:
    """``{path below a directory: digest}``"""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return dict(zip((os.fspath(path.relative_to(top)) for path in files), pool.map(_digest, files), strict=True))


def _digest(path: Path) -> str:
    try:
        return digest_of_file(path)
    except OSError:  # what a disk cannot read is damaged, too
        return "unreadable"


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _files(directory: Path, pattern: str = "*") -> list[Path]:
    return [path for path in directory.glob(pattern) if _is_file(path)]


def _copy(paths: Collection[Path], target: Path) -> None:
    if paths:
        run([*_COPY, *paths, target])


def _sources(root: StrPath) -> list[str]:
    names = [f"/etc/apt/sources.list.d/{name}" for name in sorted(files.list_directory(root, "/etc/apt/sources.list.d"))]
    return [files.read_text(root, name, "") for name in ("/etc/apt/sources.list", *names)]


def _state(directory: Path) -> dict[str, tuple[int, int]]:
    """What is the same where lists are the same: names, sizes and times."""
    return {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in _files(directory, "*_*")}


def _listed(lists: Path, names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """``{file name of a package: (size, sha256)}`` as the lists say; packed lists are not read."""
    parts = {name: re.fullmatch(r"(.+)_(.+)_(.+)\.deb", name) for name in names}
    wanted = {(part[1], part[2].replace("%3a", ":"), part[3]): name for name, part in parts.items() if part}
    packages = {f"Package: {package}".encode(errors="surrogateescape") for package, _, _ in wanted}
    found = {}
    for path in _files(lists, "*_Packages"):
        for stanza in path.read_bytes().split(b"\n\n"):
            if stanza.partition(b"\n")[0] in packages:
                fields = dict(line.split(": ", 1) for line in stanza.decode(errors="replace").splitlines() if ": " in line)
                name = wanted.get((fields.get("Package", ""), fields.get("Version", ""), fields.get("Architecture", "")))
                if name and {"Size", "SHA256"} <= fields.keys():
                    found[name] = fields["Size"], fields["SHA256"]
    return found
