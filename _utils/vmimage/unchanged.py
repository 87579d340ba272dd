"""Whether the triplet that is there is made of what a build would be made of now: then there is nothing to build.

What goes in is told by digests: settings, base, variation, SLS and pillar, versions, and, where packages are brought up to date,
what apt's archives offer (their InRelease files are fetched and compared).  Who cannot be asked counts as changed.
"""

import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import requests

from vmimage import delivery
from vmimage.digest import digest_of_trees
from vmimage.mounts import run_inside
from vmimage.variation import find_variation

#: settings that say where and how something is built, or what is done with it afterwards; all others shape the image
_BESIDE = frozenset(
    """output workspace cache root room_mib memory tries keep gate publish cloud visibility properties carry_over kernel_id ramdisk_id
    initrd_id when_done hg_address hg_rev git_address git_rev keep_on_failure force skip_unchanged revision jobs variations
    hg_rev_variation git_rev_variation repository_credentials repository_stale""".split()
)
_URI = "$(REPO_URI)dists/$(RELEASE)/InRelease"
_TIMEOUT_SECONDS = 10


def digest_inputs(build, base_digest, variation, distribution):
    """One digest of all that an image is made of, but for what the archives offer.

    :param Build build:
    :param str base_digest:
    :param variation: mapping with the ``digest`` and ``id`` that were applied, or shall be
    :param dict distribution: grains of the root, which choose its pillar
    """
    settings = {key: value for key, value in asdict(build.settings).items() if key not in _BESIDE}
    roots = [*build.host.file_roots(), delivery.states_directory()]
    told = {
        "settings": settings,
        "base": base_digest,
        "variation": [variation["digest"], variation["id"]],
        "sls": digest_of_trees(roots),
        "pillar": build.host.compile_pillar(variation["id"], distribution),
        "versions": build.host.versions(),
        "code": digest_of_trees(sorted(Path(__file__).parent.glob("*.py"))),  # of this project; a builder's image holds it, too
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def note_offers(root, lists):
    """What the archives of a root offer, by the lists that were just fetched: ``{address: sha256 of its InRelease}``.

    None if that cannot be told of all of them.
    """
    output = run_inside(root, ["apt-get", "indextargets", "--format", _URI, "Created-By: Packages"]).output
    found = {}
    for uri in sorted(set(output.split())):
        file = lists / re.sub(r"^\w+://", "", uri).replace("/", "_")
        if not uri.startswith(("http://", "https://")) or not file.is_file() or file.is_symlink():
            return None
        found[uri] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found or None


def find_unchanged(build):
    """The manifest of the triplet that is there, if a build would be made of the same; else None."""
    manifest = build.triplet.manifest() if build.settings.skip_unchanged else None
    inputs = (manifest or {}).get("inputs")
    if not inputs or bool(manifest["updated"]) != build.settings.update:
        return None
    variation = asdict(find_variation(build.settings, build.host))
    if inputs["digest"] != digest_inputs(build, build.locate_base()["digest"], variation, manifest["distribution"]):
        return None
    return manifest if not build.settings.update or _is_offered(inputs["offered"]) else None


def _is_offered(offered):
    """Whether the archives offer today what they offered then."""
    if not offered:
        return False
    with ThreadPoolExecutor(len(offered)) as pool:
        return all(pool.map(_is_same, offered, offered.values()))


def _is_same(uri, digest):
    try:
        answer = requests.get(uri, timeout=_TIMEOUT_SECONDS)
    except requests.RequestException:
        return False
    return answer.status_code == 200 and hashlib.sha256(answer.content).hexdigest() == digest
