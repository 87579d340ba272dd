"""What apt's archives offer, by their InRelease files: as long as these stay, there is nothing newer to be had."""

import hashlib
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import requests

from vmimage.root.mounts import run_in_root
from vmimage.system.aliases import StrPath

#: ``{address: sha256 of its InRelease}``
Offered = dict[str, str]
_URI = "$(REPO_URI)dists/$(RELEASE)/InRelease"
_TIMEOUT_SECONDS = 10
_SCHEMES = ("http", "https")


def note_offers(root: StrPath, lists: Path) -> Offered | None:
    """What the archives of a root offer, by the lists that were just fetched for it.

    :param root: with its API file systems
    :param lists: the directory of its lists; apt does not name a source whose lists are not there
    :returns: None if that is not known of all archives
    """
    output = run_in_root(root, ["apt-get", "indextargets", "--format", _URI, "Created-By: Packages"]).output
    found = {}
    for uri in sorted(set(output.split())):
        signed = _signed(lists, uri)
        if not uri.startswith(("http://", "https://")) or signed is None:
            return None
        found[uri] = hashlib.sha256(signed).hexdigest()
    return found or None


def _signed(lists: Path, uri: str) -> bytes | None:
    """The InRelease file of an archive as it was fetched, or None."""
    file = lists / re.sub(r"^\w+://", "", uri).replace("/", "_")
    return file.read_bytes() if file.is_file() and not file.is_symlink() else None


def _is_valid(signed: bytes) -> bool:
    until = re.search(rb"^Valid-Until:(.*)$", signed, re.MULTILINE)
    try:
        return not until or parsedate_to_datetime(until[1].decode()) > datetime.now(UTC)
    except (TypeError, ValueError):  # a time without a zone
        return False


def is_offered_to(root: StrPath, lists: Path, offered: Offered | None) -> bool:
    """Whether the lists that are here need not be fetched again: the archives, asked as the root's apt would, offer nothing else.

    :param root: with its API file systems
    :param lists: the directory of its lists
    :param offered: of :func:`note_offers`, when they were fetched
    """
    for uri, digest in (offered or {}).items():
        signed = _signed(lists, uri)
        if signed is None or hashlib.sha256(signed).hexdigest() != digest or not _is_valid(signed):
            return False
    proxies = _proxies_of(root) if offered else None
    return proxies is not None and is_offered(offered, proxies)


def _proxies_of(root: StrPath) -> dict[str, str] | None:
    """How a root's apt reaches its archives: ``{"http": address, ...}``; None if that takes more than an address for each."""
    lines = run_in_root(root, ["apt-config", "dump", "--format", "%F %v%n"]).output.splitlines()
    settings = dict(
        line.split(" ", 1) for line in lines if re.match(r"(?i)acquire::(\w+::)?proxy", line) and not line.endswith(" ")
    )
    found = {name.lower(): value for name, value in settings.items()}
    proxies = {scheme: found.pop(f"acquire::{scheme}::proxy") for scheme in _SCHEMES if f"acquire::{scheme}::proxy" in found}
    return None if found or "DIRECT" in proxies.values() else proxies


def is_offered(offered: Offered | None, proxies: Mapping[str, str] | None = None) -> bool:
    """Whether the archives offer today what they offered then.

    :param offered: of :func:`note_offers`
    :param proxies: ``{"http": address, ...}``; default: as the environment says
    """
    if not offered:
        return False
    with requests.Session() as session, ThreadPoolExecutor(len(offered)) as pool:
        session.trust_env = proxies is None
        session.proxies = dict(proxies or {})
        session.headers["Cache-Control"] = "max-age=0"  # as apt asks: a proxy between may have an old copy
        return all(pool.map(lambda uri: _is_same(session, uri, offered[uri]), offered))


def _is_same(session: requests.Session, uri: str, digest: str) -> bool:
    try:
        answer = session.get(uri, timeout=_TIMEOUT_SECONDS)
    except requests.RequestException:
        return False
    return answer.status_code == 200 and hashlib.sha256(answer.content).hexdigest() == digest
