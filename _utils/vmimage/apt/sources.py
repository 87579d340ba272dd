"""The machine's own apt sources, for a base that is bootstrapped from them."""

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from vmimage.errors import SettingsWrong
from vmimage.system.digest import read_record, write_record
from vmimage.system.shell import run

#: address, suite, component and origin
_Index = tuple[str, ...]

_FIELDS = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)"
_READ = ("/etc/apt", "/etc/apt/sources.list.d", "/etc/apt/apt.conf.d", "/var/lib/apt/lists")


def source_lines(release: str, distribution: str, mirror: str | Iterable[object] = "", memory: Path | None = None) -> list[str]:
    """sources.list lines for a release.

    :param release: code name
    :param distribution: debian or ubuntu
    :param mirror: an address, or a list of whole sources.list lines; empty for what the machine's apt itself reads
    :param memory: a file to keep what apt said in, for as long as what it read is the same: asking costs half a second
    :raises SettingsWrong: if the machine has no such source
    """
    if mirror and not isinstance(mirror, str):
        return [str(line) for line in mirror]
    if mirror:
        components = "main" if distribution == "debian" else "main universe"
        return [f"deb {mirror} {release} {components}"]
    return _from_indexes(_read_indexes(memory), release, distribution)


def _read_indexes(memory: Path | None) -> list[_Index]:
    """The indexes that apt has read."""
    state = _state()
    with suppress(OSError):  # what cannot be read, or is damaged, is asked again
        known = read_record(memory) if memory else None
        if known and known["state"] == state:
            return [tuple(index) for index in known["indexes"]]
    indexes = _ask_apt()
    if memory and indexes and memory.parent.is_dir():
        with suppress(OSError):  # a user who only plans may not be allowed to write there
            write_record(memory, {"state": state, "indexes": indexes})
    return indexes


def _state() -> str:
    """A digest of the names, sizes and times of what apt reads: while they are the same, it would say the same again."""
    facts = []
    for directory in map(Path, _READ):
        with suppress(OSError):
            for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
                if entry.is_file():
                    facts.append((entry.path, entry.stat().st_size, entry.stat().st_mtime_ns))
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _ask_apt() -> list[_Index]:
    output = run(["apt-get", "indextargets", "--format", _FIELDS, "Created-By: Packages"]).output
    return [tuple(line.split(" ", 3)) for line in output.splitlines() if line.count(" ") >= 3]


def _from_indexes(indexes: Iterable[_Index], release: str, distribution: str) -> list[str]:
    """The lines for a release, its suites named after those that the machine uses (``-updates``, ``-security``)."""
    indexes = list(indexes)
    ours = [index for index in indexes if index[3].lower() == distribution]
    suites = [suite for _, suite, _, _ in ours]
    current = release if release in suites else min(suites, key=len, default="")
    if not current:
        other = f"ami.mirror: http://MIRROR/{distribution} names its mirror; or let ami.base be an image of {distribution.capitalize()}"
        raise SettingsWrong(
            f"the machine's apt knows no {distribution} archive", hint=other if indexes else f"apt-get update; or {other}"
        )
    components: dict[tuple[str, str], list[str]] = {}
    for address, suite, component, _ in ours:
        if suite == current or suite.startswith((f"{current}-", f"{current}/")):
            ours_suite = release + suite[len(current) :]
            components.setdefault((address.rstrip("/"), ours_suite), []).append(component)
    return [f"deb {address} {suite} {' '.join(dict.fromkeys(names))}" for (address, suite), names in components.items()]
