"""Whether the triplet that is there is made of what a build would be made of now: then there is nothing to build.

What goes in is known by digests: settings, base, variation, SLS and pillar, versions, and, where packages are brought up to date,
what apt's archives offer (their InRelease files are fetched and compared).  An archive that cannot be asked counts as changed.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from vmimage import delivery
from vmimage.apt.releases import find_newer
from vmimage.build.build import Build
from vmimage.errors import ImageUnsound
from vmimage.image.triplet import Manifest
from vmimage.settings.schema import keys_that
from vmimage.system.digest import digest_of_data, digest_of_trees
from vmimage.variation.apply import find_variation

#: settings that say where and how something is built, or what is done with it afterwards
BESIDE = keys_that("shapes_image", hold=False)


#: what the manifest has of the digest of each input, which may be a secret: enough to see that it has changed, too little to guess by
_DIGITS = 8


def digest_inputs(
    build: Build, base_digest: str, variation_digest: str, minion_id: str, distribution: Mapping[str, Any]
) -> dict[str, Any]:
    """What is noted of all that an image is made of, but for what the archives offer.

    :param variation_digest: of what was applied, or shall be
    :param minion_id: that it was applied for, or shall be
    :param distribution: grains of the root, which choose its pillar
    :returns: ``digest`` of all of it, and ``parts``: ``{what it is, in words: the first digits of its digest}``
    """
    roots = [*build.host.file_roots(), delivery.states_directory()]
    inputs = {f"the setting ami.{key}": value for key, value in asdict(build.settings).items() if key not in BESIDE}
    inputs |= {
        "the base": base_digest,
        "the variation": variation_digest,
        "the minion's id": minion_id,
        "the SLS of pre and post": digest_of_trees(roots),
        "the pillar": build.host.compile_pillar(minion_id, distribution),
        "the minion config's options for states": build.host.state_options(),
        "the versions of the programs": build.host.versions,
        "the code of this project": digest_of_trees(delivery.machinery()),  # a builder's image holds it, too
    }
    digests = {what: digest_of_data(value) for what, value in inputs.items()}
    return {"digest": digest_of_data(digests), "parts": {what: digest[-_DIGITS:] for what, digest in digests.items()}}


def find_unchanged(build: Build) -> tuple[Manifest | None, str]:
    """The triplet that is there, if a build would be made of the same.

    :returns: ``(manifest, "")``, or ``(None, why it is to be built, in words)``; the reason is empty where it is not asked
    """
    if not build.settings.skip_unchanged or not build.triplet.manifest_path.exists():
        return None, ""
    manifest = build.triplet.manifest()
    if not manifest:
        return None, f"{build.triplet.manifest_path} is not as it was written, or a file of the triplet is missing"
    if changed := _find_changed(build, manifest):
        return None, changed
    try:
        return build.triplet.check(quickly=True), ""
    except ImageUnsound as damage:
        return None, damage.message


def _find_changed(build: Build, manifest: Manifest) -> str:
    """What is not as it was for the triplet of a manifest, in words; empty where all is."""
    inputs = manifest.get("inputs")
    if not inputs or "parts" not in inputs:
        return "the last build did not note what it was made of, for it had no ami.skip_unchanged"
    if bool(manifest["updated"]) != build.settings.update:
        return "the setting ami.update has changed"
    if manifest.get("incremental") and not build.settings.incremental:
        return "the last build was incremental, and may hold what a clean build would not"
    found, base_digest = find_variation(build.settings, build.host), build.locate_base().digest
    now = digest_inputs(build, base_digest, found.digest, found.id, manifest["distribution"])
    if inputs["digest"] != now["digest"]:
        parts = inputs["parts"].items() ^ now["parts"].items()
        return f"changed since then: {', '.join(sorted({what for what, _ in parts}))}"
    return find_newer(inputs["offered"], build.progress.note) if build.settings.update else ""
