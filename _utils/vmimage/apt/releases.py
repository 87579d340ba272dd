"""What apt's archives offer, told by their InRelease files: as long as these stay, there is nothing newer to be had."""

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests

from vmimage.root.mounts import run_inside

_URI = "$(REPO_URI)dists/$(RELEASE)/InRelease"
_TIMEOUT_SECONDS = 10
_SCHEMES = ("http", "https")


def note_offers(root, lists):
    """What the archives of a root offer, by the lists that were just fetched for it: ``{address: sha256 of its InRelease}``.

    :param root: furnished
    :param Path lists: the directory of its lists; apt tells nothing of a source whose lists are not there
    :returns: None if that cannot be told of all archives
    """
    output = run_inside(root, ["apt-get", "indextargets", "--format", _URI, "Created-By: Packages"]).output
    found = {}
    for uri in sorted(set(output.split())):
        signed = _signed(lists, uri)
        if not uri.startswith(("http://", "https://")) or signed is None:
            return None
        found[uri] = hashlib.sha256(signed).hexdigest()
    return found or None


def _signed(lists, uri):
    """The InRelease file of an archive as it was fetched, or None."""
    file = lists / re.sub(r"^\w+://", "", uri).replace("/", "_")
    return file.read_bytes() if file.is_file() and not file.is_symlink() else None


def _is_valid(signed):
    told = re.search(rb"^Valid-Until:(.*)$", signed, re.MULTILINE)
    try:
        return not told or parsedate_to_datetime(told[1].decode()) > datetime.now(UTC)
    except (TypeError, ValueError):  # a zone that is not told
        return False


def is_offered_to(root, lists, offered):
    """Whether the lists that are here need not be fetched again: the archives, asked as the root's apt would, offer nothing else.

    :param root: furnished
    :param Path lists: the directory of its lists
    :param dict offered: as :func:`note_offers` told when they were fetched
    """
    for uri, digest in (offered or {}).items():
        signed = _signed(lists, uri)
        if signed is None or hashlib.sha256(signed).hexdigest() != digest or not _is_valid(signed):
            return False
    proxies = _proxies_of(root) if offered else None
    return proxies is not None and is_offered(offered, proxies)


def _proxies_of(root):
    """How a root's apt reaches its archives: ``{"http": address, ...}``; None if that is more than one address can tell."""
    lines = run_inside(root, ["apt-config", "dump", "--format", "%F %v%n"]).output.splitlines()
    told = dict(line.split(" ", 1) for line in lines if re.match(r"(?i)acquire::(\w+::)?proxy", line) and not line.endswith(" "))
    found = {name.lower(): value for name, value in told.items()}
    proxies = {scheme: found.pop(f"acquire::{scheme}::proxy") for scheme in _SCHEMES if f"acquire::{scheme}::proxy" in found}
    return None if found or "DIRECT" in proxies.values() else proxies


def is_offered(offered, proxies=None):
    """Whether the archives offer today what they offered then.

    :param dict offered: of :func:`note_offers`
    :param dict proxies: ``{"http": address, ...}``; default: as the environment says
    """
    if not offered:
        return False
    with requests.Session() as session, ThreadPoolExecutor(len(offered)) as pool:
        session.trust_env = proxies is None
        session.proxies = proxies or {}
        session.headers["Cache-Control"] = "max-age=0"  # as apt asks: a proxy between may have an old one
        return all(pool.map(lambda uri: _is_same(session, uri, offered[uri]), offered))


def _is_same(session, uri, digest):
    try:
        answer = session.get(uri, timeout=_TIMEOUT_SECONDS)
    except requests.RequestException:
        return False
    return answer.status_code == 200 and hashlib.sha256(answer.content).hexdigest() == digest
