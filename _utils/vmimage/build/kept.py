"""What a report needs and the manifest does not hold, kept when a build ends.

    OUTPUT/NAME.build.json        beside the manifest: what is in the image, the build before, the end of the log
    WORKSPACE/NAME/failed.json    of a build that failed: how far it came, and why it ended

Both are for root alone, as the workspace is: they hold what programs printed.
"""

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vmimage.build.record import BuildRecord, read_record
from vmimage.image.triplet import Manifest, Triplet
from vmimage.root.workspace import Workspace
from vmimage.system.whole_files import read_json, write_json

FORMAT = 1
_LOG_BYTES = 200_000
#: of an earlier manifest, what the next build is compared with
_COMPARED = (
    "build",
    "created",
    "packages",
    "files",
    "file_system",
    "states",
    "steps",
    "base",
    "variation",
    "settings",
    "versions",
)


def report_data(record: BuildRecord, contents: dict | None, log_text: str, previous: dict | None) -> dict:
    """What to keep of a build that made its triplet: plain data.

    :param contents: what takes the room in its image, of :func:`vmimage.image.usage.measure_contents`
    :param log_text: of :func:`read_log`
    :param previous: of :func:`previous_build`
    """
    return {
        "format": FORMAT,
        "build": record.begun.build if record.begun else None,
        "base_bytes": record.base.content_bytes if record.base else None,
        "contents": contents,
        "previous": previous,
        "log": log_text,
    }


def failed_data(record: BuildRecord, error: BaseException) -> dict:
    """What to keep of a build that made none, in the words of a manifest as far as it came: plain data.

    :param error: why it ended; its ``states``, if it has any, are those whose results were checked
    """
    return _without(record, error, time.time())


def _without(record: BuildRecord, error: BaseException, at: float) -> dict:
    begun, base, varied = (asdict(part) if part else {} for part in (record.begun, record.base, record.varied))
    steps, checked = record.timings, list(getattr(error, "states", None) or ())
    of_variation = not steps or not steps[-1].failed or steps[-1].step == "variation"  # else of pre or post
    return {
        "format": FORMAT,
        "failed": f"{type(error).__name__}: {error}" if str(error) else type(error).__name__,
        "name": begun.get("name"),
        "build": begun.get("build"),
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)),
        "architecture": begun.get("architecture"),
        "base": {key: base[key] for key in ("reference", "format", "digest", "verified") if key in base},
        "variation": {key: varied[key] for key in ("reference", "digest", "id", "revision") if varied.get(key)},
        "updates": record.updated.changes if record.updated else None,
        "states": checked if checked and of_variation else varied.get("results", []),
        "failures": [state for state in checked if state.get("result") is False],
        "steps": [step.as_dict() for step in steps],
        "settings": {key: value for key, value in begun.get("settings", {}).items() if key != "pillar"},
    }


def previous_build(triplet: Triplet) -> dict[str, Any] | None:
    """What is known of the triplet that the next will replace, or None."""
    manifest = _read_whole(triplet.manifest_path)
    if not manifest:
        return None
    contents = (read_kept(triplet, manifest) or {}).get("contents") or {}
    kept = {key: manifest[key] for key in _COMPARED if key in manifest}
    kept["states"] = [{key: state.get(key) for key in _STATE} for state in kept.get("states", ())]
    return {**kept, "package_bytes": contents.get("packages", {}), "unowned": contents.get("unowned", {})}


_STATE = ("id", "state", "name", "sls", "result", "changed", "duration_ms")


def read_kept(triplet: Triplet, manifest: Manifest) -> dict[str, Any] | None:
    """What was kept beside a manifest, if it is of the same build."""
    kept = _read_whole(kept_path(triplet))
    return kept if kept and kept.get("build") == manifest.get("build") else None


def _read_whole(path: Path) -> dict[str, Any] | None:
    try:
        return read_json(path)
    except ValueError:  # damaged: it is no reason not to build
        return None


def kept_path(triplet: Triplet) -> Path:
    return triplet.manifest_path.with_name(f"{triplet.name}.build.json")


def failed_path(workspace: Workspace) -> Path:
    return workspace.path / "failed.json"


def read_log(path: Path, limit: int = _LOG_BYTES) -> str:
    """The end of a log; where its beginning is left out, it begins with a whole line and a word about it."""
    try:
        with open(path, "rb") as file:
            left_out = max(0, file.seek(0, os.SEEK_END) - limit)
            file.seek(left_out)
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return f"... {left_out} bytes before this are left out\n{text.partition(chr(10))[2]}" if left_out else text


def keep(path: Path, data: dict[str, Any]) -> None:
    """Write what is kept; it is a few hundred KB at most, and worth no wait for the disk."""
    write_json(path, data, lasts=False, is_private=True)


def read_build(triplet: Triplet, workspace: Workspace) -> dict[str, Any] | None:
    """All that is on disk of the newest build of this name.

    :returns: ``{"outcome": done, failed or unfinished, "manifest": ..., "kept": ...}``; of an unfinished or failed build the
        manifest is as much as is known; None where there is nothing
    """
    manifest, failed = read_json(triplet.manifest_path), read_json(failed_path(workspace))
    if failed:
        return _without_triplet("failed", failed, triplet, workspace)
    record = read_record(workspace)
    if record.begun and record.begun.build != (manifest or {}).get("build"):
        data = _without(record, RuntimeError(), record.begun.at)
        return _without_triplet("unfinished", data, triplet, workspace)
    if not manifest:
        return None
    return {"outcome": "done", "manifest": manifest, "kept": read_kept(triplet, manifest) or {}}


def _without_triplet(outcome: str, data: dict[str, Any], triplet: Triplet, workspace: Workspace) -> dict[str, Any]:
    kept = {"previous": previous_build(triplet), "log": read_log(workspace.log)}
    return {"outcome": outcome, "manifest": data, "kept": kept}
