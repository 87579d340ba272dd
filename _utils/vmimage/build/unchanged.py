"""Whether the triplet that is there is made of what a build would be made of now: then there is nothing to build.

What goes in is known by digests: settings, base, variation, SLS and pillar, versions, and, where packages are brought up to date,
what apt's archives offer (their InRelease files are fetched and compared).  An archive that cannot be asked counts as changed.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict

from vmimage import delivery
from vmimage.apt.releases import is_offered
from vmimage.build.build import Build
from vmimage.errors import ImageUnsound
from vmimage.image.triplet import Manifest
from vmimage.settings.schema import keys_that
from vmimage.system.digest import digest_of_trees
from vmimage.variation.apply import find_variation

#: settings that say where and how something is built, or what is done with it afterwards
BESIDE = keys_that("shapes_image", hold=False)


def digest_inputs(build: Build, base_digest: str, variation_digest: str, minion_id: str, distribution: Mapping[str, str]) -> str:
    """A digest of all that an image is made of, but for what the archives offer.

    :param variation_digest: of what was applied, or shall be
    :param minion_id: that it was applied for, or shall be
    :param distribution: grains of the root, which choose its pillar
    """
    settings = {key: value for key, value in asdict(build.settings).items() if key not in BESIDE}
    roots = [*build.host.file_roots(), delivery.states_directory()]
    inputs = {
        "settings": settings,
        "base": base_digest,
        "variation": [variation_digest, minion_id],
        "sls": digest_of_trees(roots),
        "pillar": build.host.compile_pillar(minion_id, distribution),
        "versions": build.host.versions(),
        "code": digest_of_trees(delivery.machinery()),  # of this project; a builder's image holds it, too
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, default=str).encode()).hexdigest()


def find_unchanged(build: Build) -> Manifest | None:
    """The manifest of the triplet that is there, if a build would be made of the same; else None."""
    manifest = build.triplet.manifest() if build.settings.skip_unchanged else None
    inputs = manifest.get("inputs") if manifest else None
    if not manifest or not inputs or bool(manifest["updated"]) != build.settings.update:
        return None
    if manifest.get("incremental") and not build.settings.incremental:
        return None  # it may hold what a clean build would not
    found = find_variation(build.settings, build.host)
    base_digest = build.locate_base().digest
    if inputs["digest"] != digest_inputs(build, base_digest, found.digest, found.id, manifest["distribution"]):
        return None
    if build.settings.update and not is_offered(inputs["offered"]):
        return None
    try:
        return build.triplet.check()
    except ImageUnsound as damage:
        build.progress.note(f"{damage.message}: it is built again")
        return None
