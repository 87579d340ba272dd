"""What apt downloads of lists, shared by builds and kept out of images.

CACHE/apt/KEY/lists, KEY/bin   apt's lists as the update of a root found them, and what apt computed from them; KEY is a digest of
                               the base and of the root's sources, so that no root reads lists that another base vouched for; and of
                               how they are read, so that a Salt without xxhash takes nothing for damaged
CACHE/apt/KEY/record.json      what the archives offered then, which packages are the newest by that, and digests of both
CACHE/apt/left-*               lists that are no longer shared, until no build is shown them

A root is shown an overlay over them, or copies where there can be none: what its variation does to them stays with the build.
No program of a root reads any before all are read here: what is damaged, or has no digest, is removed and comes again.
"""

import errno
import fcntl
import hashlib
import os
import stat
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from filecmp import cmp
from pathlib import Path
from typing import Any

from vmimage.errors import CommandFailed, NotReady
from vmimage.root import files
from vmimage.root.mounts import escaped_option, unmount
from vmimage.system import syscalls
from vmimage.system.aliases import Say, StrPath
from vmimage.system.background import BackgroundTask
from vmimage.system.digest import QUICK, digest_of_file, read_record, write_record
from vmimage.system.lock import locked
from vmimage.system.shell import run
from vmimage.system.trees import remove_tree
from vmimage.system.whole_files import read_json, sync, write_json

_LISTED = ("lists", "bin")
_LISTS, CACHE = "/var/lib/apt/lists", "/var/cache/apt"
_UNKNOWN: dict[str, Any] = {"offered": None, "newest": None}
#: of what is known of the lists: what they must be by their digests, or what is damaged without reading any; until they are read
_UNREAD = frozenset(["digests", "damaged"])
# neither owner nor mode: what a root calls setuid is nothing for a directory of the machine that all may read
_COPY = ["cp", "--no-dereference", "--preserve=timestamps", "--reflink=auto"]


class AptLists:
    """The lists of a build.

    :param cache: the directory ``apt`` is made in it
    :param own: of the build: where what it changes of them is
    :param root: mounted
    """

    def __init__(self, cache: StrPath, own: StrPath, root: StrPath, base_digest: str) -> None:
        self.top, self.own, self.root = Path(cache) / "apt", Path(own), root
        self.key = hashlib.sha256("\n".join([QUICK, base_digest, *_sources(root)]).encode()).hexdigest()[:32]
        self.shared = self.top / self.key

    def show_lists(self) -> None:
        """Show the build's lists to the root; before a program there reads any, :meth:`drop_damaged_lists` has been called."""
        syscalls.mount(self.own / "lists", files.own_directory(self.root, _LISTS), flags=syscalls.MS_BIND)
        syscalls.mount(self.own / "bin", files.own_directory(self.root, CACHE), flags=syscalls.MS_BIND)

    def begin(self, *, by_overlay: bool = False, just_read: Mapping[str, str] | None = None) -> bool:
        """Give the build what is shared of lists, unless it has them.

        :param by_overlay: of what is shared and of what the build changes: for a process whose mounts go with it, and which does all
            that is done to the root.  Where none can be mounted, copies
        :param just_read: digests of lists that this build has itself shared a moment ago: they need not be read again
        :returns: whether the build has got these
        :raises NotReady: if there is no room for copies
        """
        if self.own.exists():
            return False
        partial = self.own.with_name(f"{self.own.name}.partial")
        remove_tree(partial, ignore_errors=True)  # of a run that was killed
        names = ("lists", "bin", "bin/archives", "archives", "archives/partial", "work")
        for name in (*names, *(f"{kind}/{name}" for kind in ("changed", "lists-work") for name in names[:3])):
            (partial / name).mkdir(parents=True)
            (partial / name).chmod(0o755)  # apt looks into them as another user
        with self._locked_to_read():
            damaged: list[Path] = []
            record = read_record(self.shared / "record.json", damaged.append)
            known = {"digests": {}, **record} if record else {"damaged": [*map(os.fspath, damaged)]}
            is_read = bool(just_read) and known.get("digests") == just_read
            if record and not (by_overlay and self._mount_lists(partial)):
                try:
                    for name in _LISTED:
                        _copy(plain_files(self.shared / name), partial / name)
                except CommandFailed as error:  # what a disk cannot read is damaged, too
                    if _digests_of_lists(self.shared) == record.get("digests"):
                        raise NotReady(
                            f"apt's lists cannot be copied to {self.own}: {error.output.strip().rpartition(': ')[2]}",
                            hint="free some room, or set ami.workspace to another disk",
                        ) from error
                    is_read = False
            if is_read:
                del known["digests"]
            write_json(partial / "known.json", known, lasts=False)
        partial.rename(self.own)
        return is_read

    def _mount_lists(self, own: Path) -> bool:
        """Mount the shared lists, and over them what the build changes; returns whether that can be."""
        try:
            fcntl.flock(os.open(self.shared, os.O_RDONLY), fcntl.LOCK_SH)  # until this process ends nothing is removed there
            for name in _LISTED:
                mount_overlay(self.shared / name, own / "changed" / name, own / "lists-work" / name, own / name)
        except OSError:
            self._unmount_lists(own)
            return False
        return True

    @staticmethod
    def _unmount_lists(own: Path) -> None:
        for name in _LISTED:
            unmount(own / name)

    def end(self) -> None:
        """Unmount what :meth:`begin` has mounted."""
        self._unmount_lists(self.own)

    def begin_reading_lists(self) -> BackgroundTask[list[str]]:
        """Read the build's lists beside other work, while nobody writes there; what comes of it is for :meth:`drop_damaged_lists`."""
        return BackgroundTask(self._find_damaged_lists, f"reading {self.shared}")

    def _find_damaged_lists(self) -> list[str]:
        """The paths of shared lists that are not what was shared."""
        known = read_json(self.own / "known.json")
        if "digests" not in known:
            return known.get("damaged", [])
        expected, found = known["digests"], _digests_of_lists(self.own)
        return [os.fspath(self.shared / name) for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)]

    def drop_damaged_lists(self, say: Say, find: Callable[[], list[str]] | None = None) -> bool:
        """Remove all lists if any is not what was shared; they are read once in a build.

        :param find: finishes :meth:`begin_reading_lists`; default: they are read now
        :returns: whether there was such a list
        """
        known = read_json(self.own / "known.json")
        if not known.keys() & _UNREAD:
            return False
        found = sorted((find or self._find_damaged_lists)())
        if found:
            say(f"{found[0]} is damaged: apt's lists are removed from the cache, and fetched again")
            for path in [path for name in _LISTED for path in plain_files(self.own / name)]:
                path.unlink()
            with suppress(OSError), self.locked():  # the cache is only read
                self._set_lists_aside()
        kept = {key: value for key, value in known.items() if key not in _UNREAD and not found}
        write_json(self.own / "known.json", kept, lasts=False)
        return bool(found)

    def _set_lists_aside(self) -> None:
        """Take the shared lists away; a build that is shown them keeps them until it ends."""
        if self.shared.exists():
            self.shared.rename(self.top / f"left-{uuid.uuid4().hex}")
        self._remove_lists([*self.top.glob("left-*")])

    def _remove_lists(self, directories: Iterable[Path]) -> None:
        for directory in directories:
            with unless_shown(directory) as free:
                if free:
                    remove_tree(directory)

    def known(self) -> dict[str, Any]:
        """What was known when the lists that are shown were fetched: a dict of

        ``offered``: what the archives offered, as of :func:`vmimage.apt.releases.note_offers`, or None;
        ``newest``: packages of which nothing newer was to be had, as of :func:`vmimage.apt.packages.digest_of_packages`, or None.
        """
        known = read_json(self.own / "known.json")
        return {key: known.get(key) for key in _UNKNOWN}

    def locked(self) -> AbstractContextManager[None]:
        return locked(self.top / "lock", "the cache of apt", wait=True, doing="used")

    @contextmanager
    def _locked_to_read(self) -> Iterator[None]:
        """Hold the lock; in a cache that is only read nobody can, nor change anything: what is read there is looked at for damage."""
        with ExitStack() as stack:
            try:
                stack.enter_context(self.locked())
            except OSError as error:
                if error.errno != errno.EROFS:
                    raise
            yield

    def recognize_lists(self) -> None:
        """Give lists that are what they were their old times: then apt need not compute from them again.

        Apt fetches some again where a server does not say since when they have not changed.
        """
        with self._locked_to_read():
            for shared in plain_files(self.shared / "lists", "*_*"):
                own, facts = self.own / "lists" / shared.name, shared.stat()
                if _is_file(own) and own.stat().st_mtime_ns != facts.st_mtime_ns and cmp(own, shared, False):
                    os.utime(own, ns=(facts.st_atime_ns, facts.st_mtime_ns), follow_symlinks=False)

    @contextmanager
    def copying(self) -> Iterator[Path]:
        """A directory in the cache for :meth:`copy_lists`, which no other build takes for one that was left."""
        with self.locked():
            for left in self.top.glob("partial-*"):  # of a run that was killed
                with unless_shown(left) as free:
                    if free:
                        remove_tree(left)
            partial = self.top / f"partial-{uuid.uuid4().hex}"
            partial.mkdir()
            descriptor = os.open(partial, os.O_RDONLY)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        try:
            yield partial
        finally:
            os.close(descriptor)
            remove_tree(partial, ignore_errors=True)

    def copy_lists(self, name: str, partial: Path) -> dict[str, str]:
        """Copy lists after an update, for :meth:`keep_lists`.

        :param name: ``lists``, or ``bin`` for what apt has computed from them
        :param partial: of :meth:`copying`
        :returns: their digests
        """
        (partial / name).mkdir()
        _copy(plain_files(self.own / name, "*_*" if name == "lists" else "*.bin"), partial / name)
        for path in {*(partial / name).iterdir()} - {*plain_files(partial / name)}:
            path.unlink()  # a link that a program of the root has just put there: it may lead to a device of the builder
        if name == "lists":
            for path in (partial / name).iterdir():
                sync(path)  # apt believes what it finds beside an InRelease: no half after a crash
        return digests_below(plain_files(partial / name), partial)

    def keep_lists(
        self, known: dict[str, Any] | None = None, copied: tuple[Path, Mapping[str, str]] | None = None
    ) -> dict[str, str]:
        """Share the lists after an update, before the variation could change them.

        :param known: by these lists, as of :meth:`known`
        :param copied: the directory with copies of the lists, and their digests, where they were copied before
        :returns: the digests of what came into the cache, by the paths there; empty where nothing came
        """
        known = known or _UNKNOWN
        if (self.own / "varied").exists():
            return {}
        with self.locked():
            record = read_record(self.shared / "record.json")
            if record and _state(self.own / "lists") == _state(self.shared / "lists"):
                if record != {**record, **known}:
                    write_record(self.shared / "record.json", {**record, **known})
                os.utime(self.shared)
                return {}
        if copied is None:
            with self.copying() as partial:
                return self.keep_lists(known, (partial, self.copy_lists("lists", partial)))
        partial = copied[0]
        digests = {**copied[1], **self.copy_lists("bin", partial)}
        write_record(partial / "record.json", {**known, "digests": digests})
        with self.locked():
            self._set_lists_aside()
            partial.rename(self.shared)
        return digests


@contextmanager
def unless_shown(directory: Path) -> Iterator[bool]:
    """Whether no root is shown what is in a directory; none is for the time of the block."""
    descriptor, is_free = os.open(directory, os.O_RDONLY), False
    try:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_free = True
        yield is_free
    finally:
        os.close(descriptor)


def mount_overlay(lower: Path, upper: Path, work: Path, point: StrPath) -> None:
    places = {"lowerdir": lower, "upperdir": upper, "workdir": work}
    options = ",".join(["volatile", *(f"{option}={escaped_option(place)}" for option, place in places.items())])
    syscalls.mount("vm_create-apt", point, "overlay", 0, options)


def digests_below(files: Collection[Path], top: Path) -> dict[str, str]:
    """``{path below a directory: digest}``"""
    return dict(zip((os.fspath(path.relative_to(top)) for path in files), digests_of(files), strict=True))


def _digests_of_lists(top: Path) -> dict[str, str]:
    return digests_below([path for name in _LISTED for path in plain_files(top / name)], top)


def digests_of(files: Collection[Path]) -> list[str]:
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(_digest, files))


def _digest(path: Path) -> str:
    try:
        # a program of a root that is shown the file may put a link or a pipe there at this instant
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return digest_of_file(f"/proc/self/fd/{descriptor}", QUICK)
        finally:
            os.close(descriptor)
    except OSError:
        pass
    return f"unreadable {uuid.uuid4().hex}"  # what a disk cannot read is damaged, too, and what could not be read when it came


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def plain_files(directory: Path, pattern: str = "*") -> list[Path]:
    return [path for path in directory.glob(pattern) if _is_file(path)]


def _copy(paths: Collection[Path], target: Path) -> None:
    if paths:
        run([*_COPY, *paths, target])
        for copy in plain_files(target):
            copy.chmod(0o644)  # apt looks at them as another user, whatever the umask of the builder is


def _sources(root: StrPath) -> list[str]:
    names = [f"/etc/apt/sources.list.d/{name}" for name in sorted(files.list_directory(root, "/etc/apt/sources.list.d"))]
    return [files.read_text(root, name, "") for name in ("/etc/apt/sources.list", *names)]


def _state(directory: Path) -> dict[str, tuple[int, int]]:
    """What is the same where lists are the same: names, sizes and times."""
    return {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in plain_files(directory, "*_*")}
