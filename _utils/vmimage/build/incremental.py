"""A build that starts from the last root image of its variation and applies the states again: edit, build, boot.

What the next build must know of this build is noted beside the triplet, in ``NAME.build.json`` below ``again``: which file the root image
is, digests of all that shaped it but for the states, and the states (:mod:`vmimage.variation.in_root.state_diff`).  Where anything is not as it was, the
build is made clean, and says why.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from vmimage import delivery
from vmimage.build.build import Build
from vmimage.build.kept import keep, kept_path, read_kept
from vmimage.build.record import Basis
from vmimage.build.unchanged import BESIDE
from vmimage.system.digest import QUICK, digest_of_data, digest_of_file, digest_of_trees
from vmimage.variation.apply import LOADED, find_variation
from vmimage.variation.in_root.state_diff import NeedsCleanBuild

#: the key below which it stands
AGAIN = "again"
#: settings that reach the image through the states alone, which are compared
_IN_STATES = frozenset(["pillar"])
#: the names that a plain SLS includes
_INCLUDE = re.compile(r"^include:\n((?:[ \t]*- .*\n)+)", re.MULTILINE)


def find_basis(build: Build, base_digest: str) -> Basis:
    """What the build can start from instead of its base.

    :param base_digest: of the base as it is now
    :raises NeedsCleanBuild: if there is nothing that would do
    """
    manifest = build.triplet.manifest()
    if not manifest:
        raise NeedsCleanBuild(f"there is no triplet {build.settings.name}")
    known = (read_kept(build.triplet, manifest) or {}).get(AGAIN)
    if not known or "digest" not in known:
        raise NeedsCleanBuild("the last build did not note what it was made of")
    if known.pop("digest") != digest_of_data(known):
        raise NeedsCleanBuild(f"{kept_path(build.triplet)} is damaged")
    if known["image"] != _identity(build.triplet.root_image):
        raise NeedsCleanBuild(f"{build.triplet.root_image} is not the file that the last build made")
    if manifest["base"]["digest"] != base_digest:
        raise NeedsCleanBuild("the base has changed")
    now = _shaping(build, known["sls"])
    for what in sorted(known["shaping"].keys() | now.keys()):
        if known["shaping"].get(what) != now.get(what):
            raise NeedsCleanBuild(f"{what} has changed")
    image = manifest["files"]["root_image"]
    algorithm = QUICK if QUICK in image else "sha256"
    before = manifest.get("incremental") or {"of": manifest["build"], "generation": 0}
    return Basis(
        image=os.fspath(build.triplet.root_image),
        digest=f"{algorithm}:{image[algorithm]}",
        label=manifest["file_system"]["label"],
        uuid=manifest["file_system"]["uuid"],
        states=known["states"],
        offered=known["offered"],
        of=before["of"],
        generation=before["generation"] + 1,
    )


def note_shaping(build: Build) -> None:
    """Note as a build begins what shapes it: what is edited while it runs may have come too late for its image."""
    manifest = build.triplet.manifest()
    last = (read_kept(build.triplet, manifest) or {}).get(AGAIN) if manifest else None
    names = _with_included(build, {build.settings.pre, build.settings.post, *(last or {}).get("sls", ())})
    build.note(shaping=_shaping(build, sorted(names)))


def _with_included(build: Build, names: Iterable[str]) -> set[str]:
    found, left = set(), set(names)
    while left:
        name = left.pop()
        found.add(name)
        path = _path_of_sls(build, name)
        block = _INCLUDE.search(path.read_text(encoding="utf-8", errors="replace")) if path else None
        left |= set(re.findall(r"- +([\w.]+)", block[1]) if block else ()) - found
    return found


def remember(build: Build, sls: Iterable[str]) -> None:
    """Note beside the triplet what the next build must know to start from it.

    :param sls: names of the SLS that pre and post were made of
    """
    manifest, record = build.triplet.manifest(), build.record
    kept = read_kept(build.triplet, manifest) if manifest else None
    if kept is None or not record.varied or record.varied.states is None:  # a post of the user's own
        return
    names, offered = sorted(sls), record.updated.offered if record.updated else None
    shaping = {what: record.shaping.get(what, digest) for what, digest in _shaping(build, names).items()}
    again = {"image": _identity(build.triplet.root_image), "sls": names, "shaping": shaping}
    again |= {"states": record.varied.states, "offered": offered}
    keep(kept_path(build.triplet), {**kept, AGAIN: {**again, "digest": digest_of_data(again)}})


def _identity(path: Path) -> list[int]:
    """What changes when a file is written to, or another is put in its place."""
    facts = path.stat()
    return [facts.st_ino, facts.st_size, facts.st_mtime_ns]


def _shaping(build: Build, sls: Iterable[str]) -> dict[str, str]:
    """``{what it is: digest}`` of all that shapes an image beside its base and its states."""
    found = find_variation(build.settings, build.host)
    shaping = [(key, value) for key, value in asdict(build.settings).items() if key not in BESIDE | _IN_STATES]
    code = [digest_of_trees(delivery.machinery()), build.host.providers()]
    own = [f"{top}/{directory}" for top in found.file_roots for directory in sorted(LOADED)]
    others = sorted(root for roots in found.environments.values() for root in roots)
    return {
        **({"what other environments of the minion hold": digest_of_trees(others)} if others else {}),
        **{f"the setting {key}": _digest(value) for key, value in shaping},
        **{f"the version of {program}": version for program, version in build.host.versions.items()},
        **{f"the SLS {name}": _digest_of_sls(build, name, found.id) for name in sls},
        "the code of this project": _digest(code),
        "the variation's own code (_modules, _states, ...)": digest_of_trees(own),
    }


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _digest_of_sls(build: Build, name: str, minion_id: str) -> str:
    """Of its file; where other files and the pillar may decide what it says, of those, too."""
    path = _path_of_sls(build, name)
    if path is None:
        return ""
    text = path.read_text(encoding="utf-8", errors="replace")
    if "{%" in text or "pillar" in text or text.startswith("#!"):
        return _digest([digest_of_trees(_roots(build)), build.host.compile_pillar(minion_id, {})])
    return digest_of_file(path)


def _path_of_sls(build: Build, name: str) -> Path | None:
    places = [Path(top) / f"{name.replace('.', '/')}{ending}" for top in _roots(build) for ending in (".sls", "/init.sls")]
    return next((place for place in places if place.is_file()), None)


def _roots(build: Build) -> list[Path]:
    return [*build.host.file_roots(), delivery.states_directory()]
