"""The manifest: what a triplet is made of, as JSON with keys that stay.  Never a secret: it is made of notes and settings only."""

from vmimage.apt.packages import changed_packages

FORMAT = 1


def make_manifest(notes, files, *, versions, created):
    """Put together what the steps noted.

    :param dict notes: ``{step: data}`` of fetched, opened, updated, varied, sealed, extracted, packed, shrunk, timings
    :param dict files: of :meth:`vmimage.image.triplet.Triplet.describe_partials`
    :param dict versions: of the programs that made it
    :param str created: UTC, ISO 8601
    :returns: plain data; README.rst documents its keys
    """
    base = notes["fetched"]
    varied = notes.get("varied") or {}
    packages = notes["packed"]["packages"]
    return {
        "format": FORMAT,
        "name": notes["begun"]["name"],
        "build": notes["begun"]["build"],
        "created": created,
        "architecture": notes["begun"]["architecture"],
        "distribution": notes["packed"]["distribution"],
        "files": {**files, "kernel": {**files["kernel"], "version": notes["extracted"]["version"]}},
        "file_system": {key: notes["packed"][key] for key in ("label", "uuid", "content_bytes", "inodes")},
        "base": {key: base[key] for key in ("reference", "format", "digest", "verified")},
        "variation": {key: varied.get(key) for key in ("reference", "digest", "id", "revision")},
        "inputs": notes.get("inputs"),
        "incremental": (notes.get("basis") or {}).get("made"),
        "updated": notes.get("updated") is not None,
        "packages": packages,
        "changes": changed_packages(base["packages"], packages),
        "states": varied.get("states", []),
        "sealed": notes.get("sealed", {}),
        "keys": notes["packed"].get("keys", []),
        "steps": notes.get("timings", []),
        "settings": {key: value for key, value in notes["begun"]["settings"].items() if key != "pillar"},
        "versions": versions,
    }
