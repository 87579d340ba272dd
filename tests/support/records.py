"""Records of builds, with what a test does not look at filled in."""

from vmimage.base.prepare import Base
from vmimage.build.record import Begun, BuildRecord, Packed, Shrunk, Updated, Varied


def begun(name="web", build="b1", settings=None):
    return Begun(name, build, "x86_64", settings or {}, at=0.0)


def base(**more):
    facts = {"reference": "debian bookworm amd64", "format": "bootstrap", "digest": "sha256:b", "verified": "apt"}
    facts |= {"image": "/var/cache/x.img", "label": "root", "uuid": "u", "packages": {"a": "1"}, "content_bytes": 4096}
    return Base(**facts | more)


def varied(**more):
    facts = {"reference": "/srv/web", "digest": "sha256:y", "id": "web1", "revision": "", "results": [], "states": None}
    return Varied(**facts | more)


def updated(offered=None):
    return Updated({"added": {}, "removed": {}, "changed": {}}, offered, "", 0.0)


def packed(**more):
    facts = {"label": "root", "content_bytes": 5, "inodes": 6, "keys": [], "packages": {"a": "2", "b": "1"}}
    facts |= {"distribution": {"os": "Debian"}}
    return Packed(**facts | more)


def finished(**more):
    """A record with all that a manifest needs at least."""
    facts = {"begun": begun(), "base": base(), "kernel": "6.1", "packed": packed(), "shrunk": Shrunk(7, "u")}
    return BuildRecord(**facts | more)
