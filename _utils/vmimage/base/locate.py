"""The base: found, wherever it is, and verified."""

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vmimage.base import bootstrap
from vmimage.base.download import fetch, fetch_beside, forget_download, path_of
from vmimage.errors import BaseRefused, BaseUnverified, CommandFailed, VmImageError
from vmimage.settings.schema import Settings
from vmimage.system import formats
from vmimage.system.address import name_of, public_address
from vmimage.system.background import BackgroundTask
from vmimage.system.digest import (
    check_digest,
    check_identity,
    find_in_checksums,
    identity_of,
    is_known,
    known_digest,
    parse_digest,
)
from vmimage.system.progress import Progress
from vmimage.system.shell import run

#: what the address of a base in the store begins with
IMAGE_PREFIX = "glance:"
_CHECKSUM_FILES = ("{name}.sha512", "{name}.sha256", "SHA512SUMS", "SHA256SUMS")
#: turns a salt:// address into a path, empty for none
CacheFile = Callable[[str], str]
#: takes a name or id in the store and a directory, returns the file and its ``(algorithm, hex)``
FetchImage = Callable[[str, Path], tuple[Path, tuple[str, str]]]


@dataclass(frozen=True)
class Located:
    """A base that is on this machine, or can be bootstrapped.

    :ivar reference: what the user calls it: an address, or ``debian bookworm amd64``
    :ivar format: bootstrap, raw, disk, qcow2 or tar
    :ivar digest: of the file, or of the whole plan of a bootstrap, ``sha256:HEX``
    :ivar verified: how the digest was checked
    :ivar path: of its file; None for a bootstrap
    :ivar identity: of its file as its digest was taken (:func:`vmimage.system.digest.identity_of`)
    :ivar plan: of a bootstrap (:func:`vmimage.base.bootstrap.plan_bootstrap`)
    :ivar is_just_read: whether its digest was taken of the file now, not out of a table
    """

    reference: str
    format: str
    digest: str
    verified: str
    path: Path | None = None
    identity: list[int] | None = None
    plan: bootstrap.Plan | None = None
    is_just_read: bool = False


def architecture_of(settings: Settings) -> str:
    """Debian's name of the architecture to build for."""
    own = run(["dpkg", "--print-architecture"]).output.strip()
    if settings.architecture:
        bootstrap.check_architecture(settings.architecture, own)
    return settings.architecture or own


def begin_reading(settings: Settings) -> BackgroundTask[list[int]] | None:
    """Begin to take the digest of a base that is a file of this machine, beside other work.

    :returns: for :func:`locate_base`; None where there is no such file, or its digest is known
    """
    path, table = path_of(settings.base), Path(settings.cache) / "digests.json"
    if path is None or not os.path.isfile(path) or is_known(path, table):
        return None

    def read() -> list[int]:
        identity = identity_of(path)
        known_digest(path, table)
        return identity

    return BackgroundTask(read, f"reading {path}")


def locate_base(
    settings: Settings,
    progress: Progress,
    cache_file: CacheFile | None = None,
    fetch_image: FetchImage | None = None,
    reading: BackgroundTask[list[int]] | None = None,
) -> Located:
    """Fetch and verify a base without preparing it.

    :param cache_file: for a base in Salt's file_roots
    :param fetch_image: for a base in the store
    :param reading: of :func:`begin_reading`
    :raises BaseMissing, BaseUnverified, BaseRefused:
    """
    if not settings.base:
        plan = bootstrap.plan_bootstrap(settings, architecture_of(settings))
        reference = f"{plan['type']} {plan['release']} {plan['architecture']}"
        digest = bootstrap.digest_of_plan(plan)
        return Located(reference, "bootstrap", digest, "apt's own signatures", plan=plan)
    downloads, table = Path(settings.cache) / "downloads", Path(settings.cache) / "digests.json"
    if settings.base.startswith(IMAGE_PREFIX):
        assert fetch_image is not None
        path, stored = fetch_image(settings.base.removeprefix(IMAGE_PREFIX), downloads)
    else:
        path, stored = fetch(settings.base, downloads, cache_file, progress.moved), None
    identity = identity_of(path)
    kind = settings.base_format or formats.read_format(path)
    if not kind:
        raise BaseRefused(
            f"{public_address(settings.base)} is no file system, disk, qcow2 or tar that is known",
            hint="gunzip it, if it is a compressed image",
        )
    if kind == "qcow2":
        formats.check_qcow2(path)
    is_new = _was_read(reading, identity) or not is_known(path, table)
    try:
        if stored:
            check_digest(path, stored, table, progress.moved)
        if stored and not settings.base_hash:
            verified = f"{stored[0]} from the store"
        else:
            verified = _verify(settings, path, downloads, table, cache_file, progress)
    except BaseUnverified:
        if path.parent == downloads:
            forget_download(path)
        raise
    digest = known_digest(path, table, moved=progress.moved)
    check_identity(path, identity)
    return Located(settings.as_dict()["base"], kind, digest, verified, path, identity, is_just_read=is_new)


def _was_read(reading: BackgroundTask[list[int]] | None, identity: list[int]) -> bool:
    """Whether the digest of a file was taken in this run; what went wrong will go wrong again where it is taken next."""
    with suppress(VmImageError, OSError):
        return reading is not None and reading.finish() == identity
    return False


def _verify(
    settings: Settings, path: Path, downloads: Path, table: Path, cache_file: CacheFile | None, progress: Progress
) -> str:
    """Check the file's digest; returns how."""
    name = name_of(settings.base)
    given = parse_digest(settings.base_hash) if settings.base_hash else None
    if given:
        if settings.base_keyring:
            raise BaseUnverified(
                "ami.base_keyring is set, but ami.base_hash is a digest that nobody signed",
                hint="let ami.base_hash be the checksum file, or leave it out",
            )
        check_digest(path, given, table, progress.moved)
        return f"{given[0]} from the settings"
    if settings.base_hash:
        candidates = [(settings.base_hash, settings.base_hash.rsplit("/", 1)[-1])]
    else:
        candidates = [(settings.base, pattern.format(name=name)) for pattern in _CHECKSUM_FILES]
    for address, beside in candidates:
        sums = fetch_beside(address, beside, downloads, cache_file)
        text = sums.read_bytes() if sums else b""
        if expected := find_in_checksums(text.decode(errors="replace"), name):
            signed = _check_signature(settings, address, beside, text, downloads, cache_file)
            check_digest(path, expected, table, progress.moved)
            return f"{expected[0]} from {beside}{signed}"
    if settings.base_hash:
        raise BaseUnverified(
            f"{public_address(settings.base_hash)} has no digest of {name}",
            hint="ami.base_hash: sha256:HEX, or a checksum file that lists it",
        )
    if settings.base_keyring:
        raise BaseUnverified(f"no checksum file lists {name}", hint="ami.base_keyring needs one; name it with ami.base_hash")
    if not settings.base_unverified:
        raise BaseUnverified(
            f"nothing tells the digest of {public_address(settings.base)}",
            hint="set ami.base_hash: sha256:HEX, or ami.base_unverified: true if you must",
        )
    return "not verified"


def _check_signature(
    settings: Settings, address: str, beside: str, sums: bytes, downloads: Path, cache_file: CacheFile | None
) -> str:
    """Verify the checksum file's detached signature, if a keyring is configured; returns words about it.

    :param sums: what was read of the checksum file: another build may by now have fetched another
    """
    if not settings.base_keyring:
        return ""
    if not Path(settings.base_keyring).is_file():
        raise BaseUnverified(f"there is no keyring {settings.base_keyring}", hint="correct ami.base_keyring")
    for ending in (".gpg", ".sign", ".asc", ".sig"):
        signature = fetch_beside(address, beside + ending, downloads, cache_file)
        if signature:
            try:
                with tempfile.TemporaryFile(buffering=0) as signed:
                    signed.write(sums)
                    signed.seek(0)
                    run(["gpgv", "--keyring", os.path.abspath(settings.base_keyring), signature, "-"], stdin=signed)
            except CommandFailed as error:
                raise BaseUnverified(
                    f"the signature {beside}{ending} is not good: {error.output.strip()}",
                    hint="ami.base_keyring names who may sign",
                ) from error
            return f", signed as {os.path.basename(settings.base_keyring)} wants"
    raise BaseUnverified(f"{beside} has no signature next to it", hint="ami.base_keyring asks for one")


def file_bytes(located: Located) -> int:
    """What a located base's file takes, in bytes, without its holes; a bootstrapped base has none."""
    facts = os.stat(located.path) if located.path else None
    return min(facts.st_size, facts.st_blocks * 512) if facts else 0
