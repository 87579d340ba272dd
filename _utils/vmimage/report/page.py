"""The report: all that is known of a build as a single HTML page."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from vmimage.build.kept import read_build
from vmimage.errors import NotReady
from vmimage.image.triplet import Manifest, Triplet
from vmimage.report.changes import changes, signed_amount
from vmimage.report.contents import contents
from vmimage.report.document import make_document, write_page
from vmimage.report.html import Markup, element, folded, joined, table
from vmimage.report.log import failures, log, mark_lines
from vmimage.report.machine import machine
from vmimage.report.timeline import lay_out_steps, seconds_words, timeline, total_seconds
from vmimage.root.workspace import Workspace
from vmimage.system.aliases import StrPath
from vmimage.system.progress import format_bytes

_OUTCOMES = {"done": "built", "failed": "failed", "unfinished": "not finished"}


def write_report(triplet: Triplet, workspace: Workspace, path: StrPath | None = None) -> Path:
    """Write the page of the newest build of a name.

    :param workspace: its
    :param path: of the page; default: beside the manifest
    :returns: its path
    :raises NotReady: if nothing is known of any build, or the page cannot be written
    """
    found = read_build(triplet, workspace)
    if not found:
        raise NotReady(
            f"there is no build {triplet.name} to report on in {triplet.directory}",
            hint=f"make it: vm_create.create_variation {triplet.name}",
        )
    page = Path(path or triplet.directory / f"{triplet.name}.report.html")
    if not path:  # a build that failed has not made it
        page.parent.mkdir(parents=True, exist_ok=True)
    write_page(page, make_page(found), is_private=True)
    return page


def make_page(found: Mapping[str, Any]) -> str:
    """The page.

    :param found: of :func:`vmimage.build.kept.read_build`
    """
    manifest, kept = found["manifest"], found["kept"]
    lines = mark_lines(kept.get("log"))
    name = manifest.get("name") or "?"
    sections = [
        failures(found, lines),
        timeline(manifest.get("steps") or [], manifest.get("states") or []),
        contents(kept.get("contents"), manifest.get("changes") or {}),
        machine(manifest.get("machine")),
        changes(manifest, kept),
        log(lines),
        _settings(manifest),
    ]
    title = f"{name}: {_OUTCOMES[found['outcome']]} {_time(manifest)}"
    return make_document(title, _headline(found, name), _ways(sections), sections)


def _headline(found: Mapping[str, Any], name: str) -> Markup:
    manifest, outcome = found["manifest"], found["outcome"]
    distribution, files = manifest.get("distribution") or {}, manifest.get("files") or {}
    base, variation = manifest.get("base") or {}, manifest.get("variation") or {}
    system = [
        " ".join(filter(None, map(distribution.get, ("osfullname", "osrelease", "oscodename")))),
        manifest.get("architecture"),
        f"kernel {files['kernel'].get('version')}" if files.get("kernel") else None,
    ]
    facts = {
        "Base": [base.get("reference"), element("small", base.get("digest"), " · checked by: ", base.get("verified"))],
        "Variation": [variation.get("reference"), element("small", variation.get("digest"))],
        "Minion id": variation.get("id") if variation.get("id") != name else None,
        "Revision": variation.get("revision"),
        "Build": element("code", manifest.get("build")),
    }
    if not base.get("digest"):
        facts["Base"] = base.get("reference")
    if not variation.get("digest"):
        facts["Variation"] = variation.get("reference") or _as_text(manifest.get("settings", {}).get("variation"))
    return element(
        "header",
        element("h1", name, " ", element("span", _OUTCOMES[outcome], class_=f"outcome {outcome}")),
        element("p", element("time", _time(manifest)), " · " if any(system) else None, " · ".join(filter(None, system))),
        element(
            "ul",
            [element("li", element("b", value), " ", word) for value, word in _figures(manifest, found["kept"])],
            class_="figures",
        ),
        element("dl", [joined(element("dt", key), element("dd", value)) for key, value in facts.items() if value]),
    )


def _figures(manifest: Manifest, kept: Mapping[str, Any]) -> Iterator[tuple[object, str]]:
    """What a reader wants to know first, as ``(value, word)``."""
    files, states = manifest.get("files") or {}, manifest.get("states") or []
    seconds = total_seconds(lay_out_steps(manifest.get("steps") or []))
    if seconds:
        yield seconds_words(seconds), "in all"
    before = ((kept.get("previous") or {}).get("files") or {}).get("root_image", {}).get("bytes")
    for role, word in (("root_image", "root image"), ("kernel", "kernel"), ("ramdisk", "ramdisk")):
        if role in files:
            more = files[role]["bytes"] - before if role == "root_image" and before else 0
            yield format_bytes(files[role]["bytes"]), f"{word}, {signed_amount(more)}" if more else word
    for kind, output in (manifest.get("outputs") or {}).items():
        yield format_bytes(output["bytes"]), kind
    if manifest.get("file_system"):
        yield format_bytes(manifest["file_system"]["content_bytes"]), f"in {manifest['file_system']['inodes']} inodes"
    if manifest.get("packages"):
        added = len((manifest.get("changes") or {}).get("added", ()))
        yield len(manifest["packages"]), f"packages, {added} added" if added else "packages"
    if states:
        failed, changed = (sum(test(state) for state in states) for test in (_is_failed, _is_changed))
        yield len(states), f"states, {failed} failed" if failed else f"states, {changed} changed"


def _is_failed(state: Mapping[str, Any]) -> bool:
    return state.get("result") is False


def _is_changed(state: Mapping[str, Any]) -> bool:
    return bool(state.get("changed"))


def _ways(sections: Iterable[Markup | None]) -> Markup:
    """Links to the sections that are there."""
    words = {
        "failures": "Failures",
        "time": "Time",
        "contents": "What is in it",
        "machine": "What it starts",
        "changes": "What changed",
        "log": "Log",
    }
    words["settings"] = "Settings and versions"
    there = [key for key in words if any(section and section.startswith(f'<section id="{key}"') for section in sections)]
    return element("nav", [element("a", words[key], href=f"#{key}") for key in there])


def _settings(manifest: Manifest) -> Markup:
    settings = {key: value for key, value in (manifest.get("settings") or {}).items() if key != "pillar"}
    sealed = manifest.get("sealed") or {}
    files = [*(manifest.get("files") or {}).values(), *(manifest.get("outputs") or {}).values()]
    return element(
        "section",
        element("h2", "Settings and versions"),
        table(["Program", "Version"], sorted((manifest.get("versions") or {}).items())) if manifest.get("versions") else None,
        table(
            ["File", "#Bytes", "sha256"],
            [(file["path"], file["bytes"], element("code", file["sha256"])) for file in files],
        )
        if files
        else None,
        folded(
            f"{len(settings)} settings",
            table(["Setting", "Value"], [(key, _as_text(value)) for key, value in sorted(settings.items())]),
        )
        if settings
        else None,
        [
            folded(f"{len(sealed[key])} paths {key} by the seal", element("pre", "\n".join(sealed[key]), class_="log"))
            for key in ("removed", "truncated", "written")
            if sealed.get(key)
        ],
        folded(f"{len(manifest['packages'])} packages", table(["Package", "Version"], sorted(manifest["packages"].items())))
        if manifest.get("packages")
        else None,
        id="settings",
    )


def _as_text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_as_text(below)}" for key, below in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else "" if value is None else str(value)


def _time(manifest: Manifest) -> str:
    return (manifest.get("created") or "").replace("T", " ").replace("Z", " UTC")
