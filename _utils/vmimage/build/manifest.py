"""The manifest: what a triplet is made of, as JSON with keys that stay.  Never a secret: it is made of the record and settings only."""

from dataclasses import asdict
from typing import Any

from vmimage.apt.packages import changed_packages
from vmimage.build.record import BuildRecord, made
from vmimage.image.triplet import Manifest

FORMAT = 1


def make_manifest(
    record: BuildRecord,
    files: dict[str, Any],
    inputs: dict[str, Any] | None,
    *,
    outputs: dict[str, Any] | None = None,
    versions: dict[str, str],
    created: str,
) -> Manifest:
    """The manifest of a build whose steps are done; docs/reference/manifest documents its keys.

    :param files: of :meth:`vmimage.image.triplet.Triplet.describe_partials`
    :param inputs: digest of all that went in, and what the archives offered; None where no build will compare it
    :param outputs: of :func:`vmimage.image.outputs.make_outputs`
    :param versions: of the programs that made it
    :param created: UTC, ISO 8601
    """
    begun, base, packed, shrunk = made(record.begun), made(record.base), made(record.packed), made(record.shrunk)
    varied, basis = record.varied, record.basis
    return {
        "format": FORMAT,
        "name": begun.name,
        "build": begun.build,
        "created": created,
        "architecture": begun.architecture,
        "distribution": packed.distribution,
        "login": packed.login,
        "files": {**files, "kernel": {**files["kernel"], "version": record.kernel}},
        "outputs": outputs or {},
        "file_system": {
            "label": packed.label,
            "uuid": shrunk.uuid,
            "content_bytes": packed.content_bytes,
            "inodes": packed.inodes,
        },
        "base": {"reference": base.reference, "format": base.format, "digest": base.digest, "verified": base.verified},
        "variation": {key: getattr(varied, key, None) for key in ("reference", "digest", "id", "revision")},
        "inputs": inputs,
        "incremental": {"of": basis.of, "generation": basis.generation} if basis else None,
        "updated": record.updated is not None,
        "packages": packed.packages,
        "changes": changed_packages(base.packages, packed.packages),
        "states": varied.results if varied else [],
        "sealed": asdict(record.sealed) if record.sealed else {},
        "keys": packed.keys,
        "steps": [step.as_dict() for step in record.timings],
        "settings": {key: value for key, value in begun.settings.items() if key != "pillar"},
        "versions": versions,
    }
