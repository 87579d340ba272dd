"""The packages of a root: bringing them up to date, listing them, and what changed."""

import hashlib
import re
from collections.abc import Callable
from typing import Any

from vmimage.apt.unpacked import apt_environment
from vmimage.errors import CommandFailed, ImageUnsound, RootNotOpen
from vmimage.root import files
from vmimage.root.mounts import run_in_root
from vmimage.root.runtime import HOME
from vmimage.system.aliases import Say, StrPath

#: ``{name: version}`` of installed packages; foreign ones as ``name:arch``
Packages = dict[str, str]
#: ``{"added": {name: version}, "removed": {...}, "changed": {name: [old, new]}}``
PackageChanges = dict[str, dict[str, Any]]

_KEEP_CONFIGURATION = ["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"]
_WAIT = ["-o", "Acquire::Retries=3"]
_NOTHING = re.compile(r"^0 upgraded, 0 newly installed, 0 to remove and \d+ not upgraded\.$", re.MULTILINE)
_HALF_INSTALLED = "not fully installed or removed"


def update_packages(
    root: StrPath, say: Say, fetched: Callable[[], object] = lambda: None, *, is_fresh: bool = False
) -> PackageChanges:
    """Bring every package of a root with its API file systems up to date, kernel included; configuration files that were changed stay.

    :param root: with its API file systems
    :param say: called with each line of apt
    :param fetched: called when apt's lists are there, before anything is computed from them
    :param is_fresh: apt's lists are there, and nothing newer is to be had
    :returns: what changed
    """
    before = list_packages(root)
    if not is_fresh:
        update_lists(root, say)
        fetched()
    run_in_root(
        root, ["apt-get", "-q", "-y", *_WAIT, *_KEEP_CONFIGURATION, "dist-upgrade"], env=apt_environment(HOME), on_line=say
    )
    return changed_packages(before, list_packages(root))


def update_lists(root: StrPath, say: Say) -> None:
    """Fetch apt's lists; nothing is computed from them."""
    options = ["-o", "APT::Update::Error-Mode=any", "-o", "pkgCacheFile::Generate=false"]
    try:
        run_in_root(root, ["apt-get", "-q", "-y", *_WAIT, "update", *options], on_line=say)
    except CommandFailed as error:
        error.hint = "mend the base's apt sources, or leave its packages as they are: ami.update: false"
        raise


def offers_newer(root: StrPath) -> bool:
    """Whether :func:`update_packages` would do anything by the lists that are there.

    What apt computes from the lists stays for later.

    :param root: with its API file systems
    """
    argv = ["apt-get", "-q", "-y", "--simulate", *_KEEP_CONFIGURATION, "dist-upgrade"]
    output = run_in_root(root, argv, ok=(0, 100)).output  # 100: it cannot
    return not _NOTHING.search(output) or _HALF_INSTALLED in output


def list_packages(root: StrPath) -> Packages:
    """The installed packages, read from dpkg's own status file."""
    text = files.read_text(root, "/var/lib/dpkg/status", "", limit=files.LARGE)
    if not text:
        raise RootNotOpen(f"{root} holds no Debian system (no /var/lib/dpkg/status)", hint="is the root open?")
    stanzas = [_fields(stanza) for stanza in text.split("\n\n") if stanza.strip()]
    if any("Package" not in stanza and _is_installed(stanza) for stanza in stanzas):
        raise ImageUnsound("/var/lib/dpkg/status of the image has an entry without Package", hint="mend it: dpkg --audit")
    native = next((stanza.get("Architecture") for stanza in stanzas if stanza.get("Package") == "dpkg"), "")
    found = {}
    for stanza in filter(_is_installed, stanzas):
        architecture = stanza.get("Architecture")
        name = stanza["Package"] if architecture in (native, "all") else f"{stanza['Package']}:{architecture}"
        found[name] = stanza.get("Version", "")
    return found


def _is_installed(stanza: dict[str, str]) -> bool:
    return stanza.get("Status", "").endswith(" installed")


def digest_of_packages(root: StrPath, state: str) -> str:
    """Of all that dpkg knows of the packages, and apt's state: while it is the same, ``dist-upgrade`` would do nothing else than it did.

    :param state: of :func:`vmimage.apt.wrapper.state_of_update`
    """
    texts = [
        files.read_text(root, name, "", limit=files.LARGE) for name in ("/var/lib/dpkg/status", "/var/lib/apt/extended_states")
    ]
    return hashlib.sha256("\0".join([state, *texts]).encode(errors="replace")).hexdigest()


def _fields(stanza: str) -> dict[str, str]:
    lines = (line.split(": ", 1) for line in stanza.splitlines() if line[:1] not in (" ", "\t", ""))
    return {pair[0]: pair[1] for pair in lines if len(pair) == 2}


def changed_packages(before: Packages, after: Packages) -> PackageChanges:
    """What changed between two lists of packages."""
    return {
        "added": {name: after[name] for name in sorted(set(after) - set(before))},
        "removed": {name: before[name] for name in sorted(set(before) - set(after))},
        "changed": {
            name: [before[name], after[name]] for name in sorted(set(before) & set(after)) if before[name] != after[name]
        },
    }
