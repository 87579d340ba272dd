"""The smallest job that goes the whole way: a base that is downloaded, an archive with one package, a variation that installs it."""

import http.server
import json
import os
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial

from building import LEFT_BEHIND_SECONDS, Salt, what_is_left
from faulting import Caller
from light_base import make_light_base
from looking import looked_into, tree_of
from vmimage.image.triplet import Triplet
from vmimage.system.digest import QUICK, digest_of_file, read_record

PACKAGE = """
mkdir -p own/DEBIAN own/usr/share/own
head -c 3000000 /dev/urandom > own/usr/share/own/content
printf 'Package: own\\nVersion: 1\\nArchitecture: all\\nMaintainer: me\\nDescription: mine\\n' > own/DEBIAN/control
dpkg-deb --root-owner-group -b own own_1_all.deb > /dev/null && rm -r own
printf '%s\\nFilename: own_1_all.deb\\nSize: %s\\nSHA256: %s\\n' "$(dpkg-deb -f own_1_all.deb)" "$(stat -c %s own_1_all.deb)" \\
    "$(sha256sum < own_1_all.deb | cut -d ' ' -f 1)" > Packages
printf 'Date: %s\\nSHA256:\\n %s %s Packages\\n' "$(LC_ALL=C date -uR)" "$(sha256sum < Packages | cut -d ' ' -f 1)" \\
    "$(stat -c %s Packages)" > Release
"""
VARIATION = """
a file is there:
  file.managed: [{name: /srv/said, contents: here}]
a package is there:
  pkg.installed:
    - pkgs: [own]
"""
#: what differs from build to build
DIFFERING = ("/var/cache/ldconfig/aux-cache", "/var/log/apt/", "/var/log/dpkg.log", "/var/lib/apt/extended_states")
NAME = "job"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def served(directory):
    """The address of a directory, on the loopback."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=directory)) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def make_sources(base, directory, address):
    """What the job is made of, below a directory that is served: a base, its checksum, an archive."""
    archive = directory / "archive"
    archive.mkdir(parents=True)
    subprocess.run(["bash", "-ec", PACKAGE], cwd=archive, check=True)
    image = directory / "base.img"
    make_light_base(base, image, directory.with_name("work"), f"{address}/archive")
    (directory / "SHA256SUMS").write_text(f"{digest_of_file(image).partition(':')[2]}  base.img\n", encoding="utf-8")


class Job(Salt):
    """The job, in a directory of its own: ``cache``, ``output`` and ``workspace`` in it may be disks.

    :param str address: of what :func:`make_sources` made
    """

    def __init__(self, directory, address):
        super().__init__(directory)
        self.caller, self.cache = Caller(), directory / "cache"
        self.log = directory / "places"
        self.configure(**{
            "ami.cache": str(self.cache),
            "ami.base": f"{address}/base.img",
            "ami.network": "host",
            "ami.room_mib": 16,
            "ami.headroom_mib": 8,
            "ami.publish": False,
            "ami.name": NAME,
            "ami.variation": self.variation("job", variation=VARIATION),
        })  # fmt: skip

    def begin(self, fault=None, *, by_salt=False, **settings):
        """Begin a build; returns its pid.

        :param dict fault: of :class:`faulting.Places`
        :param bool by_salt: whether Salt applies the variation, and not what does the same in less time
        """
        self.log.write_bytes(b"")
        package = "" if by_salt else "own"
        places = {"directory": str(self.directory), "log": str(self.log), "package": package, "fault": fault or {}}
        return self.caller.begin(self.argv("vm_create.create_variation", **settings), self.directory, places)

    def finish(self):
        """``(exit code, what it said)``"""
        code = self.caller.finish()
        return code, "".join((self.directory / name).read_text(encoding="utf-8", errors="replace") for name in ("err", "out"))

    def build(self, fault=None, **how):
        """``(exit code, what it said)`` of a build, arguments as of :meth:`begin`."""
        self.begin(fault, **how)
        return self.finish()

    def places(self):
        """The places of the last build, each with which time it was reached."""
        seen, found = {}, []
        for label in self.log.read_text(encoding="utf-8").splitlines():
            seen[label] = seen.get(label, 0) + 1
            found.append(f"{label} #{seen[label]}")
        return found

    @property
    def triplet(self):
        return Triplet(self.output, NAME)

    def image_tree(self):
        """What is in the root image, and digests of kernel and ramdisk."""
        with looked_into(self.triplet.root_image) as root:
            tree = {path: facts for path, facts in tree_of(root).items() if not path.startswith(DIFFERING)}
        return {**tree, **{role: digest_of_file(self.triplet.files()[role]) for role in ("kernel", "ramdisk")}}

    def wait_until_nothing_is_left(self, before, seconds=LEFT_BEHIND_SECONDS):
        """What is left of the job after some seconds, or an empty str."""
        deadline = time.monotonic() + seconds
        while any(left := [now - then for now, then in zip(what_is_left(self.directory), before, strict=True)]):
            if time.monotonic() > deadline:
                return str(left)
            time.sleep(0.02)
        return ""

    def look_at_cache(self):
        """Digests of what is in the cache, by their paths; of what each build makes otherwise, whether it is what its record says."""
        found = {}
        for path in sorted(self.cache.rglob("*")):
            name = os.fspath(path.relative_to(self.cache))
            if path.is_file() and path.match("*.deb*") or path.parent.name in ("lists", "downloads"):
                if not name.endswith((".partial", ".lock", ".etag")):
                    found[name] = digest_of_file(path)
            elif path.suffix == ".json" and path.parent.name == "bases":
                with suppress(FileNotFoundError):
                    image = path.with_suffix(".img")
                    record = json.loads(path.with_suffix(".digest").read_text(encoding="utf-8"))
                    found[name] = digest_of_file(image, QUICK) == record["digest"] and bool(
                        json.loads(path.read_text(encoding="utf-8"))
                    )
            elif path.suffix == ".json" and path.parent.name != "bases":
                found[name] = read_record(path) is not None
        return found

    def forget_all(self):
        """A cold job: nothing in its cache, no triplet."""
        for directory in (self.cache, self.output):
            for entry in directory.iterdir() if directory.exists() else ():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
