"""Fetching a base's file: from a path, over http(s) with resumption, or by the builder's Salt from salt://."""

import hashlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import requests

from vmimage.errors import BaseMissing
from vmimage.system.address import public_address
from vmimage.system.aliases import Moved
from vmimage.system.digest import read_record, write_record
from vmimage.system.lock import locked

_CHUNK_BYTES = 1 << 20
_TRIES = 5
_TIMEOUT_SECONDS = (20, 60)


def fetch(
    address: str, directory: Path, cache_file: Callable[[str], str] | None = None, moved: Moved = lambda done, total: None
) -> Path:
    """Bring the file at an address onto this machine.

    :param address: a path, or http://, https://, file:// or salt://
    :param directory: where downloads are kept
    :param cache_file: callable that turns a salt:// address into a path, or None where there is no Salt
    :param moved: called with bytes done and in all
    :raises BaseMissing: if there is nothing to be had at the address
    """
    scheme = urlsplit(address).scheme
    if scheme in ("http", "https"):
        return download(address, directory / _file_name(address), moved)
    if scheme == "salt":
        cached = cache_file(address) if cache_file else None
        if not cached:
            raise BaseMissing(
                f"{public_address(address)} is not in the file_roots", hint="see what is there: salt-call cp.list_master"
            )
        return Path(cached)
    path = path_of(address)
    if path is None or not os.path.isfile(path):  # also where its name is too long
        raise BaseMissing(
            f"there is no file {public_address(address)}",
            hint="ami.base is an absolute path, http(s):// or salt:// address, or glance:NAME",
        )
    return path


def path_of(address: str) -> Path | None:
    """The path of what is a file of this machine by its address; None where it is to be fetched."""
    scheme = urlsplit(address).scheme
    if scheme in ("http", "https", "salt"):
        return None
    return Path(urlsplit(address).path if scheme == "file" else address)


def fetch_beside(address: str, name: str, directory: Path, cache_file: Callable[[str], str] | None = None) -> Path | None:
    """A small file next to an address, such as its SHA512SUMS, or None where there is none.

    It is always fetched: nothing says whether the file of last time is still what came.
    """
    address = _sibling(address, name)
    if urlsplit(address).scheme in ("http", "https"):
        _tag_file(directory / _file_name(address)).unlink(missing_ok=True)
    try:
        return fetch(address, directory, cache_file)
    except BaseMissing:
        return None


def _sibling(address: str, name: str) -> str:
    return f"{address.rsplit('/', 1)[0]}/{name}" if "/" in address else name


def _file_name(address: str) -> str:
    """A name in the cache that two addresses never share, and that shows nothing of a password in them."""
    name = urlsplit(address).path.rsplit("/", 1)[-1][-200:]
    return f"{hashlib.sha256(address.encode()).hexdigest()[:16]}-{name}"


def download(url: str, target: Path, moved: Moved) -> Path:
    """Download to a file; what an interrupted download left is carried on, what is complete and unchanged is kept.

    :returns: the target
    :raises BaseMissing: on an answer of the server that trying again does not change, or after several tries
    """
    with locked(target.with_name(f"{target.name}.lock"), public_address(url), wait=True):
        return _download(url, target, moved)


def _download(url: str, target: Path, moved: Moved) -> Path:
    partial = target.with_name(f"{target.name}.partial")
    for attempt in range(_TRIES):
        try:
            return _download_once(url, target, partial, moved)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError, EOFError) as error:
            trouble = error
            time.sleep(min(2**attempt, 10) if attempt < _TRIES - 1 else 0)
        except requests.RequestException as error:
            raise BaseMissing(f"{public_address(url)} is no address to download from", hint="correct ami.base") from error
    if target.exists():
        return target  # its digest is checked by the caller
    raise BaseMissing(
        f"{public_address(url)} cannot be downloaded: {_without_query(trouble)}",
        hint="what came so far is kept; the next run carries on",
    ) from trouble


def _without_query(trouble: Exception) -> str:
    return re.sub(r"\?\S*", "?***", str(trouble))


def forget_download(path: Path) -> None:
    """Remove a download that is not what it should be, so that the next run fetches it again."""
    path.unlink(missing_ok=True)
    _tag_file(path).unlink(missing_ok=True)


def _tag_file(path: Path) -> Path:
    """What the server called the state of the file in hand: the whole file and the beginning of a newer file have their own."""
    return path.with_name(f"{path.name}.etag")


def _tag_of(path: Path) -> str:
    return (read_record(_tag_file(path)) if path.exists() else None) or ""


def _download_once(url: str, target: Path, partial: Path, moved: Moved) -> Path:
    tag, have = _tag_of(target), partial.stat().st_size if _tag_of(partial) else 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": _tag_of(partial)}
    elif tag:
        headers["If-None-Match" if tag.startswith('"') else "If-Modified-Since"] = tag
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as answer:
        if answer.status_code == 304:
            return target
        if answer.status_code == 416:  # what we have is not a beginning of what is there now
            partial.unlink()
            raise EOFError(f"{public_address(url)} changed while it was downloaded")
        if answer.status_code >= 500:
            raise requests.ConnectionError(f"{answer.status_code} {answer.reason}")
        if answer.status_code not in (200, 206):
            raise BaseMissing(
                f"{public_address(url)}: the server says {answer.status_code} {answer.reason}", hint="check the address"
            )
        new_tag = answer.headers.get("ETag", "")
        new_tag = new_tag if new_tag.startswith('"') else answer.headers.get("Last-Modified", "")
        if answer.status_code == 200:
            partial.unlink(missing_ok=True)  # before its tag: a beginning must never stand beside the tag of another file
        write_record(_tag_file(partial), new_tag)
        have = have if answer.status_code == 206 else 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else 0
        done = _write(answer, partial, have, total, moved)
    if total and done != total:
        raise EOFError(f"{public_address(url)} ended after {done} of {total} bytes")
    os.replace(partial, target)
    os.replace(_tag_file(partial), _tag_file(target))
    return target


def _write(answer: requests.Response, partial: Path, have: int, total: int, moved: Moved) -> int:
    with open(partial, "ab" if have else "wb") as file:
        done = have
        for chunk in answer.iter_content(_CHUNK_BYTES):
            file.write(chunk)
            done += len(chunk)
            moved(done, total)
        file.flush()
        os.fsync(file.fileno())
    return done
