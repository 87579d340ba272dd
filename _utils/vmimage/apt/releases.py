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
from vmimage.system.address import public_address
from vmimage.system.aliases import Say, StrPath
from vmimage.system.retry import retried

#: ``{address: sha256 of its InRelease}``
Offered = dict[str, str]
_URI = "$(REPO_URI)dists/$(RELEASE)/InRelease"
_TIMEOUT_SECONDS = 10
_TRIES = 3
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


def is_offered_to(root: StrPath, lists: Path, offered: Offered | None, say: Say) -> bool:
    """Whether the lists that are here need not be fetched again: the archives, asked as the root's apt would, offer nothing else.

    :param root: with its API file systems
    :param lists: the directory of its lists
    :param offered: of :func:`note_offers`, when they were fetched
    :param say: called with a line where an archive does not answer
    """
    for uri, digest in (offered or {}).items():
        signed = _signed(lists, uri)
        if signed is None or hashlib.sha256(signed).hexdigest() != digest or not _is_valid(signed):
            return False
    proxies = _proxies_of(root) if offered else None
    return proxies is not None and not find_newer(offered, say, proxies)


def _proxies_of(root: StrPath) -> dict[str, str] | None:
    """How a root's apt reaches its archives: ``{"http": address, ...}``; None if that takes more than an address for each."""
    lines = run_in_root(root, ["apt-config", "dump", "--format", "%F %v%n"]).output.splitlines()
    settings = dict(
        line.split(" ", 1) for line in lines if re.match(r"(?i)acquire::(\w+::)?proxy", line) and not line.endswith(" ")
    )
    found = {name.lower(): value for name, value in settings.items()}
    proxies = {scheme: found.pop(f"acquire::{scheme}::proxy") for scheme in _SCHEMES if f"acquire::{scheme}::proxy" in found}
    return None if found or "DIRECT" in proxies.values() else proxies


def find_newer(offered: Offered | None, say: Say, proxies: Mapping[str, str] | None = None) -> str:
    """Why apt's archives may offer something else today than they did then.

    :param offered: of :func:`note_offers`
    :param say: called with a line for each archive that is asked again, because it did not answer
    :param proxies: ``{"http": address, ...}``; default: as the environment says
    :returns: the first reason, in words; empty where all of them offer the same
    """
    if not offered:
        return "what the archives offered is not known"
    with requests.Session() as session, ThreadPoolExecutor(len(offered)) as pool:
        session.trust_env = proxies is None
        session.proxies = dict(proxies or {})
        session.headers["Cache-Control"] = "max-age=0"  # as apt asks: a proxy between may have an old copy
        return next(filter(None, pool.map(lambda uri: _find_newer(session, uri, offered[uri], say), offered)), "")


def _find_newer(session: requests.Session, uri: str, digest: str, say: Say) -> str:
    def ask() -> requests.Response:
        answer = session.get(uri, timeout=_TIMEOUT_SECONDS)
        if answer.status_code >= 500:
            raise requests.ConnectionError(f"{public_address(uri)}: {answer.status_code} {answer.reason}")
        return answer

    try:
        answer = retried(ask, requests.RequestException, tries=_TRIES, say=say)
    except requests.RequestException as error:
        return f"{public_address(uri)} could not be asked ({type(error).__name__})"
    if answer.status_code != 200:
        return f"{public_address(uri)} could not be asked ({answer.status_code} {answer.reason})"
    return "" if hashlib.sha256(answer.content).hexdigest() == digest else f"{public_address(uri)} is another"
