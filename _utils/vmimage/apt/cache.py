"""What apt downloads, shared by builds and kept out of images.

CACHE/apt/KEY/lists, KEY/bin   apt's lists as the update of a root found them, and what apt reckoned from them; KEY is a digest of
                               the base and of the root's sources, so that nobody reads lists that another base vouched for
CACHE/apt/KEY/known.json       what the archives offered then, and which packages are the newest by that
CACHE/apt/archives/KEY         packages, each as those lists describe it: apt looks at nothing but the size of what it finds here,
                               so that one base must not provide for another
CACHE/apt/unpacked/KEY         their content, decompressed
CACHE/apt/states/KEY.json      sizes and times of both, to see which were written to since

A root is shown copies: what its variation does to them stays with the build.
"""

import fcntl
import hashlib
import os
import re
import shutil
import uuid
from contextlib import contextmanager, suppress
from filecmp import cmp
from pathlib import Path

from vmimage.apt.unpacked import show_unpacked, unpack_packages
from vmimage.root import files
from vmimage.root.mounts import escaped_option
from vmimage.root.runtime import HOME
from vmimage.system import syscalls
from vmimage.system.aging import is_old
from vmimage.system.digest import digest_of_file
from vmimage.system.lock import locked
from vmimage.system.shell import run
from vmimage.system.trees import remove_tree
from vmimage.system.whole_files import read_json, sync, write_json

_LISTS, _CACHE = "/var/lib/apt/lists", "/var/cache/apt"
_UNKNOWN = {"offered": None, "newest": None}
# neither owner nor mode: what a root calls setuid is nothing for a directory of the machine that all may read
_COPY = ["cp", "--no-dereference", "--preserve=timestamps", "--reflink=auto"]


class AptCache:
    """The lists and packages of one build.

    :param Path cache: the directory ``apt`` is made in it
    :param Path own: of the build: where its copies are
    :param root: mounted
    :param str base_digest:
    """

    def __init__(self, cache, own, root, base_digest):
        self.top, self.own, self.root = Path(cache) / "apt", Path(own), root
        key = hashlib.sha256("\n".join([base_digest, *_sources(root)]).encode()).hexdigest()[:32]
        self.shared, self.archives, self.unpacked = self.top / key, self.top / "archives" / key, self.top / "unpacked" / key

    def show(self, *, varies=False, say=lambda line: None):
        """Show the build's copies to its furnished root.  For a private namespace only: nothing is unmounted.

        :param bool varies: to a variation: what comes of the lists is not to be shared from now on
        :param say: called with a line about each package that was changed in the cache
        """
        with suppress(OSError):  # a cache that is only read
            self._drop_changed(say)
        if not self.own.exists():
            self._begin()
        if varies:
            (self.own / "varied").touch()
        syscalls.mount(self.own / "lists", files.own_directory(self.root, _LISTS), flags=syscalls.MS_BIND)
        syscalls.mount(self.own / "bin", files.own_directory(self.root, _CACHE), flags=syscalls.MS_BIND)
        places = {"lowerdir": self.archives, "upperdir": self.own / "archives", "workdir": self.own / "work"}
        options = ",".join(["volatile", *(f"{option}={escaped_option(place)}" for option, place in places.items())])
        # a volatile overlay is mounted once, unless told otherwise
        remove_tree(self.own / "work/work/incompat", ignore_errors=True)
        point = files.own_directory(self.root, f"{_CACHE}/archives")
        with suppress(OSError):  # then this build downloads for itself
            self.archives.mkdir(parents=True, exist_ok=True)
            fcntl.flock(os.open(self.archives, os.O_RDONLY), fcntl.LOCK_SH)  # until this process ends nothing is removed there
            syscalls.mount("vm_create-archives", point, "overlay", 0, options)
        show_unpacked(self.root, HOME, self.archives, self.unpacked)

    def _begin(self):
        partial = self.own.with_name(f"{self.own.name}.partial")
        remove_tree(partial, ignore_errors=True)  # of a run that was killed
        for name in ("lists", "bin", "bin/archives", "archives", "archives/partial", "work"):
            (partial / name).mkdir(parents=True)
            (partial / name).chmod(0o755)  # apt looks into them as another user
        with self._locked():
            for name in ("lists", "bin"):
                _copy(_files(self.shared / name), partial / name)
            write_json(partial / "known.json", read_json(self.shared / "known.json", _UNKNOWN), lasts=False)
        partial.rename(self.own)

    def known(self):
        """What was known when the lists that are shown were fetched: a dict of

        ``offered``: what the archives offered, as of :func:`vmimage.apt.releases.note_offers`, or None;
        ``newest``: packages of which nothing newer was to be had, as of :func:`vmimage.apt.packages.digest_of_packages`, or None.
        """
        return read_json(self.own / "known.json", _UNKNOWN)

    def _locked(self):
        return locked(self.top / "lock", "the cache of apt", wait=True, doing="used")

    def recognize_lists(self):
        """Give lists that are what they were their old times: then apt need not reckon from them again.

        Apt fetches some anew where a server does not tell since when they have not changed.
        """
        with self._locked():
            for shared in _files(self.shared / "lists", "*_*"):
                own, facts = self.own / "lists" / shared.name, shared.stat()
                if _is_file(own) and own.stat().st_mtime_ns != facts.st_mtime_ns and cmp(own, shared, False):
                    os.utime(own, ns=(facts.st_atime_ns, facts.st_mtime_ns), follow_symlinks=False)

    def keep_lists(self, known=None):
        """Share the lists after an update, before the variation could change them.

        :param dict known: by these lists, as of :meth:`known`
        """
        known = known or _UNKNOWN
        if (self.own / "varied").exists():
            return
        with self._locked():
            for left in self.top.glob("partial-*"):  # of a run that was killed
                remove_tree(left)
            if _state(self.own / "lists") == _state(self.shared / "lists"):
                if read_json(self.shared / "known.json") != known:
                    write_json(self.shared / "known.json", known)
                os.utime(self.shared)
                return
            partial = self.top / f"partial-{uuid.uuid4().hex}"
            try:
                for name, pattern in (("lists", "*_*"), ("bin", "*.bin")):
                    (partial / name).mkdir(parents=True)
                    _copy(_files(self.own / name, pattern), partial / name)
                write_json(partial / "known.json", known)
                for path in (partial / "lists").iterdir():
                    sync(path)  # apt believes what it finds beside an InRelease: no half after a crash
                remove_tree(self.shared, ignore_errors=True)
                partial.rename(self.shared)
            finally:
                remove_tree(partial, ignore_errors=True)

    def keep_archives(self, spare_mib=0):
        """Share the packages that were downloaded, each if it is what the shared lists say of it; remove what is old.

        :param int spare_mib: MiB that must stay free when they are decompressed
        """
        with self._locked():
            self.archives.mkdir(parents=True, exist_ok=True)
            for left in [*self.archives.glob("*.partial"), *self.unpacked.glob("*.partial")]:  # of a run that was killed
                left.unlink()
            before = {name: state for name, (_, state) in self._found().items()}
            found = {path.name: path for path in _files(self.own / "archives", "*.deb")}
            for name, told in (_told(self.shared / "lists", set(found)) if found else {}).items():
                self._keep_archive(found[name], *told)
            self._remove_old()
            unpack_packages(self.archives, self.unpacked, spare_mib)
            self._note_states(before)

    def _note_states(self, before):
        """Keep what packages are like that came just now; of those that were here, what was kept of them."""
        known, now = read_json(self._states, {}), self._found()
        states = {name: known.get(name, state) if before.get(name) == state else state for name, (_, state) in now.items()}
        self._states.parent.mkdir(exist_ok=True)
        write_json(self._states, states, lasts=False)

    @property
    def _states(self):
        """The file of what each package was like when it came into the cache: apt looks at its size, dpkg-deb at nothing."""
        return self.top / "states" / f"{self.archives.name}.json"

    def _found(self):
        """``{name: (path, [bytes, time])}`` of packages and of their content, decompressed."""
        facts = {path: path.stat() for directory in (self.archives, self.unpacked) for path in _files(directory, "*.deb*")}
        return {f"{path.parent.parent.name}/{path.name}": (path, [one.st_size, one.st_mtime_ns]) for path, one in facts.items()}

    def _drop_changed(self, say):
        """Remove packages that were written to since they came into the cache: they are fetched and decompressed again."""
        if not self._states.exists():
            return
        with self._locked(), _unless_shown(self.archives) as free:
            known = read_json(self._states, {}) if free else {}  # else the build that is shown them has looked
            changed = {name: path for name, (path, state) in self._found().items() if known.get(name, state) != state}
            for path in changed.values():
                path.unlink()
                say(f"{path} was changed in the cache of apt: it is removed, and made again")
            if changed:
                write_json(self._states, {name: state for name, state in known.items() if name not in changed}, lasts=False)

    def _keep_archive(self, path, size, digest):
        target, partial = self.archives / path.name, self.archives / f"{path.name}.partial"
        if str(path.stat().st_size) != size or target.exists() and str(target.stat().st_size) == size:
            return
        try:
            shutil.copyfile(path, partial, follow_symlinks=False)
            if digest_of_file(partial) == f"sha256:{digest}":
                (self.unpacked / f"{target.name}.tar").unlink(missing_ok=True)  # of another one by this name
                os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)

    def _remove_old(self):
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
def _unless_shown(archives):
    """Whether no root is shown these packages; none is for the time of the block."""
    descriptor, is_free = os.open(archives, os.O_RDONLY), False
    try:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_free = True
        yield is_free
    finally:
        os.close(descriptor)


def _is_file(path):
    return path.is_file() and not path.is_symlink()


def _files(directory, pattern="*"):
    return [path for path in directory.glob(pattern) if _is_file(path)]


def _copy(paths, target):
    if paths:
        run([*_COPY, *paths, target])


def _sources(root):
    names = [f"/etc/apt/sources.list.d/{name}" for name in sorted(files.list_directory(root, "/etc/apt/sources.list.d"))]
    return [files.read_text(root, name, "") for name in ("/etc/apt/sources.list", *names)]


def _state(directory):
    """What tells whether lists are the same: names, sizes and times."""
    return {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in _files(directory, "*_*")}


def _told(lists, names):
    """``{file name of a package: (size, sha256)}`` as the lists say; lists that are packed tell nothing."""
    wanted = {name: re.fullmatch(r"(.+)_(.+)_(.+)\.deb", name) for name in names}
    wanted = {(one[1], one[2].replace("%3a", ":"), one[3]): name for name, one in wanted.items() if one}
    packages = {f"Package: {package}".encode(errors="surrogateescape") for package, _, _ in wanted}
    found = {}
    for path in _files(lists, "*_Packages"):
        for stanza in path.read_bytes().split(b"\n\n"):
            if stanza.partition(b"\n")[0] in packages:
                fields = dict(line.split(": ", 1) for line in stanza.decode(errors="replace").splitlines() if ": " in line)
                name = wanted.get((fields.get("Package"), fields.get("Version"), fields.get("Architecture")))
                if name and {"Size", "SHA256"} <= fields.keys():
                    found[name] = fields["Size"], fields["SHA256"]
    return found
