"""What apt downloads, shared by builds and kept out of images.

CACHE/apt/KEY/lists, KEY/bin   apt's lists as the update of a root found them, and what apt reckoned from them; KEY is a digest of
                               the base and of the root's sources, so that nobody reads lists that another base vouched for
CACHE/apt/archives             packages, each as the lists that a keyring vouched for describe it

A root is shown copies: what its variation does to them stays with the build.
"""

import hashlib
import os
import re
import shutil
import time
import uuid
from contextlib import suppress
from filecmp import cmp
from pathlib import Path

from vmimage import inside, kernel
from vmimage.digest import digest_of_file
from vmimage.mounts import escaped_option
from vmimage.shell import run
from vmimage.workspace import locked

_LISTS, _CACHE = "/var/lib/apt/lists", "/var/cache/apt"
_KEPT_DAYS = 60
_BEFORE_DAYS = 24 * 3600
_COPY = ["cp", "--archive", "--reflink=auto"]


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
        self.shared, self.archives = self.top / key, self.top / "archives"

    def show(self):
        """Show the build's copies to its furnished root.  For a private namespace only: nothing is unmounted."""
        if not self.own.exists():
            self._begin()
        kernel.mount(self.own / "lists", inside.own_directory(self.root, _LISTS), flags=kernel.MS_BIND)
        cache = inside.own_directory(self.root, _CACHE)
        kernel.mount(self.own / "bin", cache, flags=kernel.MS_BIND)
        places = {"lowerdir": self.archives, "upperdir": self.own / "archives", "workdir": self.own / "work"}
        options = ",".join(["volatile", *(f"{option}={escaped_option(place)}" for option, place in places.items())])
        shutil.rmtree(
            self.own / "work/work/incompat", ignore_errors=True
        )  # a volatile overlay is mounted once, unless told otherwise
        with suppress(OSError):  # then this build downloads for itself
            kernel.mount("vm_create-archives", f"{cache}/archives", "overlay", 0, options)

    def _begin(self):
        for name in ("lists", "bin/archives/partial", "archives/partial", "work"):
            (self.own / name).mkdir(parents=True)
        self.archives.mkdir(parents=True, exist_ok=True)
        with locked(self.top / "lock", "the cache of apt", wait=True, doing="used"):
            for name in ("lists", "bin"):
                if (self.shared / name).is_dir():
                    run([*_COPY, f"{self.shared / name}/.", self.own / name])

    def recognize_lists(self):
        """Give lists that are what they were their old times: then apt need not reckon from them again.

        Apt fetches some anew where a server does not tell since when they have not changed.
        """
        for shared in (self.shared / "lists").glob("*_*"):
            own, facts = self.own / "lists" / shared.name, shared.stat()
            if own.is_file() and not own.is_symlink() and own.stat().st_mtime_ns != facts.st_mtime_ns and cmp(own, shared, False):
                os.utime(own, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    def keep_lists(self):
        """Share the lists after an update, before the variation could change them."""
        if _state(self.own / "lists") == _state(self.shared / "lists"):
            return
        partial = self.top / f"partial-{uuid.uuid4().hex}"
        with locked(self.top / "lock", "the cache of apt", wait=True, doing="used"):
            for left in self.top.glob("partial-*"):  # of a run that was killed
                shutil.rmtree(left)
            for name in ("lists", "bin"):
                (partial / name).mkdir(parents=True)
            files = [path for path in (self.own / "lists").iterdir() if path.is_file() and not path.is_symlink()]
            run([*_COPY, *files, partial / "lists"])
            bins = [path for path in (self.own / "bin").glob("*.bin") if path.is_file() and not path.is_symlink()]
            if bins:
                run([*_COPY, *bins, partial / "bin"])
            shutil.rmtree(self.shared, ignore_errors=True)
            partial.rename(self.shared)

    def keep_archives(self):
        """Share the packages that were downloaded, each if it is what the shared lists say of it."""
        found = [path for path in (self.own / "archives").glob("*.deb") if path.is_file() and not path.is_symlink()]
        digests = _digests(self.shared / "lists", {path.name for path in found}) if found else {}
        with locked(self.top / "lock", "the cache of apt", wait=True, doing="used"):
            for path in found:
                target, partial = self.archives / path.name, self.archives / f"{path.name}.partial"
                if path.name not in digests or target.exists():
                    continue
                shutil.copyfile(path, partial, follow_symlinks=False)
                if digest_of_file(partial) == f"sha256:{digests[path.name]}":
                    os.replace(partial, target)
                else:
                    partial.unlink()
            for path in self.archives.iterdir():
                if path.stat().st_mtime < time.time() - _KEPT_DAYS * _BEFORE_DAYS:
                    path.unlink()


def _sources(root):
    names = [f"/etc/apt/sources.list.d/{name}" for name in sorted(inside.list_directory(root, "/etc/apt/sources.list.d"))]
    return [inside.read_text(root, name, "") for name in ("/etc/apt/sources.list", *names)]


def _state(directory):
    """What tells whether lists are the same: names, sizes and times."""
    if not directory.is_dir():
        return None
    facts = {path.name: path.lstat() for path in directory.iterdir() if path.name not in ("lock", "partial", "auxfiles")}
    return {name: (one.st_size, one.st_mtime_ns) for name, one in facts.items()}


def _digests(lists, names):
    """``{file name of a package: sha256}`` as the lists say; lists that are packed tell nothing."""
    wanted = {name: re.fullmatch(r"(.+)_(.+)_(.+)\.deb", name) for name in names}
    wanted = {(one[1], one[2].replace("%3a", ":"), one[3]): name for name, one in wanted.items() if one}
    packages = {f"Package: {package}".encode() for package, _, _ in wanted}
    found = {}
    for path in lists.glob("*_Packages"):
        for stanza in path.read_bytes().split(b"\n\n"):
            if stanza.partition(b"\n")[0] in packages:
                fields = dict(line.split(": ", 1) for line in stanza.decode(errors="replace").splitlines() if ": " in line)
                name = wanted.get((fields.get("Package"), fields.get("Version"), fields.get("Architecture")))
                if name and "SHA256" in fields:
                    found[name] = fields["SHA256"]
    return found
