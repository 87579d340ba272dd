"""Digests: of files, of trees, and those in checksum files."""

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

try:
    import xxhash
except ImportError:  # a minion that was given our files alone, with a Salt before 3008
    QUICK = "sha256"
else:
    #: for what this project keeps, and reads again to see damage: who could forge such a file could write its record, too
    QUICK = "xxh3_128"

from vmimage.errors import BaseUnverified, SettingsWrong
from vmimage.system.aliases import Moved, StrPath
from vmimage.system.lock import locked
from vmimage.system.trees import entries_below
from vmimage.system.whole_files import read_json, write_json

#: of the programs that keep revisions, and no part of a tree
METADATA = (".git", ".hg")
_LENGTHS = {64: "sha256", 128: "sha512"}


def digest_of_file(path: StrPath, algorithm: str = "sha256", moved: Moved = lambda done, total: None) -> str:
    """The digest of a file as ``sha256:HEX``.

    :param algorithm: one of hashlib's, or :data:`QUICK`
    """
    return f"{algorithm}:{digests_of_file(path, (algorithm,), moved)[algorithm]}"


def digests_of_file(
    path: StrPath, algorithms: Iterable[str] = ("sha256", QUICK), moved: Moved = lambda done, total: None
) -> dict[str, str]:
    """``{algorithm: HEX}`` of a file that is read once."""
    with open(path, "rb", buffering=0) as file:
        total = os.fstat(file.fileno()).st_size
        digests = {name: xxhash.xxh3_128() if name == "xxh3_128" else hashlib.new(name) for name in algorithms}
        done, view = 0, memoryview(bytearray(1 << 20))
        while count := file.readinto(view):
            for digest in digests.values():
                digest.update(view[:count])
            done += count
            moved(done, total)
    return {name: digest.hexdigest() for name, digest in digests.items()}


def digest_of_data(data: object) -> str:
    """The digest of plain data, as it is when it has been JSON; what JSON has no word for (a date of a pillar) is a text there."""
    return f"sha256:{hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()}"


def write_record(path: Path, data: object, *, lasts: bool = True) -> None:
    """Keep plain data in a JSON file, with a digest by which a change of the file is seen: see :func:`read_record`."""
    write_json(path, {"data": data, "digest": digest_of_data(data)}, lasts=lasts)


def read_record(path: Path, damaged: Callable[[Path], object] = lambda path: None) -> Any:
    """What :func:`write_record` kept, which only its reader knows the type of; None where there is nothing, or nothing whole.

    :param damaged: called with the path of a file that is not what was written
    """
    try:
        kept = read_json(path)
        if kept is None or digest_of_data(kept["data"]) == kept["digest"]:
            return kept and kept["data"]
    except (ValueError, KeyError, TypeError):
        pass
    damaged(path)
    return None


def known_digest(path: StrPath, table: Path, algorithm: str = "sha256", moved: Moved = lambda done, total: None) -> str:
    """The digest of a file, from a table if the file has not changed since it was read.

    Data that a disk has lost by itself is not noticed: what is made of the file reads the file.

    :param table: a file of digests; remembers by path, size, inode and both times in nanoseconds
    """
    identity = identity_of(path)
    key = f"{algorithm} {os.path.realpath(path)}"
    known = read_record(table) or {}
    if known.get(key, [None])[0] == identity:
        return known[key][1]
    digest = digest_of_file(path, algorithm, moved)
    check_identity(path, identity)
    with locked(table.with_suffix(".lock"), "the table of digests", wait=True):
        write_record(table, {**(read_record(table) or {}), key: [identity, digest]})
    return digest


def is_known(path: StrPath, table: Path, algorithm: str = "sha256") -> bool:
    """Whether :func:`known_digest` has the digest of a file in its table."""
    return (read_record(table) or {}).get(f"{algorithm} {os.path.realpath(path)}", [None])[0] == identity_of(path)


def forget_digests(path: StrPath, table: Path) -> None:
    """Take a file out of the table: it looks as it did, and is something else."""
    ending = f" {os.path.realpath(path)}"
    with locked(table.with_suffix(".lock"), "the table of digests", wait=True):
        kept = read_record(table) or {}
        write_record(table, {key: entry for key, entry in kept.items() if not key.endswith(ending)})


def identity_of(path: StrPath) -> list[int]:
    """What changes when a file is replaced or written to: device, inode, size and both times in nanoseconds."""
    facts = os.stat(path)
    return [facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns]


def check_identity(path: StrPath, identity: list[int]) -> None:
    """Refuse a file that is no longer what it was when its digest was taken.

    :param identity: of :func:`identity_of`, before it was read
    :raises BaseUnverified:
    """
    if identity_of(path) != identity:
        raise BaseUnverified(f"{path} was changed while it was read", hint="try again when nobody writes to it")


def digest_of_trees(paths: Iterable[StrPath]) -> str:
    """A single digest for several files and directories, those that do not exist left out."""
    digest = hashlib.sha256()
    for path in map(Path, paths):
        if path.exists():
            digest.update(f"{path.name} {digest_of_tree(path) if path.is_dir() else digest_of_file(path)}\0".encode())
    return f"sha256:{digest.hexdigest()}"


def digest_of_tree(top: StrPath) -> str:
    """A single digest for a directory: names, kinds, execute bits and content of everything in it, but for ``.git`` and ``.hg``."""
    digest = hashlib.sha256()
    top = os.path.normpath(top)
    entries = entries_below(top, enters=lambda entry: entry.name not in METADATA)
    found = {entry.path[len(top) + 1 :]: entry for entry in entries if entry.name not in METADATA}
    for name in sorted(found, key=lambda name: name.split("/")):
        path, mode = found[name].path, found[name].stat(follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            what = f"link {os.readlink(path)}"
        elif stat.S_ISREG(mode):
            what = f"file {mode & 0o111:o} {digest_of_file(path)}"
        else:
            what = "directory"
        digest.update(f"{name}\0{what}\0".encode(errors="surrogateescape"))
    return f"sha256:{digest.hexdigest()}"


def parse_digest(text: str) -> tuple[str, str] | None:
    """``(algorithm, hex)`` of ``sha256:HEX``, ``sha256=HEX`` or bare hex, or None if the text is no digest.

    :raises SettingsWrong: if it is a digest in part
    """
    named = re.fullmatch(r"(?i)\s*(?:(sha256|sha512)[:=])?([0-9a-f]+)\s*", text)
    if not named:
        if re.fullmatch(r"(?i)\s*(sha256|sha512)[:=][^/]*", text):
            raise SettingsWrong(f"the digest {text!r} is not hexadecimal", hint="sha256:HEX or sha512:HEX")
        if re.match(r"(?i)\s*(md5|sha1|sha224|sha384)[:=]", text):
            raise SettingsWrong(f"the digest {text!r} is of a kind that is not accepted", hint="use sha256 or sha512")
        return None
    algorithm = _LENGTHS.get(len(named[2]))
    if algorithm is None or named[1] and named[1].lower() != algorithm:
        raise SettingsWrong(f"the digest {text!r} has {len(named[2])} digits", hint="sha256 has 64, sha512 has 128")
    return algorithm, named[2].lower()


def find_in_checksums(text: str, name: str) -> tuple[str, str] | None:
    """``(algorithm, hex)`` of a file in the text of a checksum file (coreutils' or BSD's form), or None."""
    for line in text.splitlines():
        coreutils = re.fullmatch(r"([0-9A-Fa-f]{64}|[0-9A-Fa-f]{128})(?:\s+\*?(.+))?", line.strip())
        bsd = re.fullmatch(r"SHA(?:256|512) \((.+)\) = ([0-9A-Fa-f]{64}|[0-9A-Fa-f]{128})", line.strip())
        for found, listed in ((coreutils and coreutils[1], coreutils and coreutils[2]), (bsd and bsd[2], bsd and bsd[1])):
            if found and (listed is None or os.path.basename(listed.strip()) == name):
                return _LENGTHS[len(found)], found.lower()
    return None


def check_digest(path: StrPath, expected: tuple[str, str], table: Path, moved: Moved = lambda done, total: None) -> None:
    """Compare a file with its expected digest.

    :param expected: ``(algorithm, hex)``
    :raises BaseUnverified: naming both digests
    """
    found = known_digest(path, table, expected[0], moved)
    if found != ":".join(expected):
        raise BaseUnverified(
            f"{path} has the digest {found}, not {':'.join(expected)}", hint="download it again, or correct ami.base_hash"
        )
