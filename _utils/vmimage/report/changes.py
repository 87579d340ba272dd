"""What is new: against the base, and against the build before."""

from collections.abc import Mapping
from typing import Any

from vmimage.apt.packages import PackageChanges, changed_packages
from vmimage.image.triplet import Manifest
from vmimage.report.html import Content, Markup, element, folded, joined, table
from vmimage.report.timeline import seconds_words
from vmimage.system.progress import format_bytes

#: what was kept beside the manifest
Kept = Mapping[str, Any]
_OPEN_ROWS = 40  # a longer table is folded
_LARGEST = 12
_LEAST_BYTES = 64 << 10  # less is no news
_NO_NEWS = {"output", "workspace", "cache", "root", "force", "revision"}


def changes(manifest: Manifest, kept: Kept) -> Markup:
    """The section."""
    return element(
        "section",
        element("h2", "What changed"),
        element("h3", "Against the base"),
        _against_base(manifest, kept),
        element("h3", "Against the build before"),
        _against_previous(manifest, kept),
        id="changes",
    )


def _against_base(manifest: Manifest, kept: Kept) -> Markup:
    found, size = manifest.get("changes") or manifest.get("updates"), _package_bytes(kept)
    if found is None:
        return element("p", "Not known: it did not come so far.")
    said = [_counted(found)]
    content, base = (manifest.get("file_system") or {}).get("content_bytes"), kept.get("base_bytes")
    if content and base:
        said.append(f"; {signed_amount(content - base)}: the base holds {format_bytes(base)}, the image {format_bytes(content)}")
    return joined(element("p", said, "."), _package_changes(found, size, {}))


def _against_previous(manifest: Manifest, kept: Kept) -> Markup:
    previous = kept.get("previous")
    if not previous:
        return element("p", "No earlier build of this name is known.")
    packages = changed_packages(previous.get("packages", {}), manifest["packages"]) if manifest.get("packages") else None
    facts = [row for row in compare_facts(previous, manifest) if row[1] != row[2]]
    states, sizes = compare_states(previous, manifest), _grown(previous, kept)
    parts: list[Content] = [element("p", f"That was {previous.get('build', '')[:12]} of {_time(previous.get('created', ''))}.")]
    if not facts and not states and not sizes and not (packages and any(packages.values())):
        return joined(parts, element("p", "Nothing: the same base, variation, packages, states and settings."))
    parts.append(table(["", "Before", "Now"], [(name, _shown(old), _shown(new)) for name, old, new in facts]) if facts else None)
    if packages and any(packages.values()):
        parts.append(element("p", _counted(packages), "."))
        parts.append(_package_changes(packages, _package_bytes(kept), previous.get("package_bytes") or {}))
    if states:
        parts.append(_maybe_folded("States", table(["", "State", "SLS", "Before", "Now"], states), len(states)))
    if sizes:
        parts.append(table(["What takes more or less room", "#Before", "#Now", "#"], sizes))
    return joined(parts)


def compare_facts(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """``(name, before, now)`` of what has a single value: sizes, digests, versions, settings, seconds."""
    rows: list[tuple[Any, ...]] = []
    for role in ("root_image", "kernel", "ramdisk"):
        pair = [(facts.get("files") or {}).get(role, {}).get("bytes") for facts in (old, new)]
        if all(pair):
            rows.append(
                (role.replace("_", " "), format_bytes(pair[0]), f"{format_bytes(pair[1])} ({signed_amount(pair[1] - pair[0])})")
            )
            rows[-1] = (rows[-1][0], rows[-1][1], rows[-1][1] if pair[0] == pair[1] else rows[-1][2])
    rows.append(("kernel version", *((facts.get("files") or {}).get("kernel", {}).get("version") for facts in (old, new))))
    for part, keys in (("base", ("reference", "digest", "verified")), ("variation", ("reference", "digest", "id", "revision"))):
        rows += [(f"{part}: {key}", *((facts.get(part) or {}).get(key) for facts in (old, new))) for key in keys]
    for part in ("versions", "settings"):
        before, now = old.get(part) or {}, new.get(part) or {}
        rows += [(f"{part}: {key}", before.get(key), now.get(key)) for key in sorted({*before, *now} - _NO_NEWS)]
    if new.get("files"):
        pair = [sum(timing["seconds"] for timing in of.get("steps", ())) for of in (old, new)]
        rows += [("time of all steps", *map(seconds_words, pair))] if all(pair) else []
    else:  # of a build that ended before that, nothing is known
        rows = [row for row in rows if row[2] not in (None, "")]
    return rows


def compare_states(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """``(sign, state, sls, before, now)`` of states that came, went, or ended otherwise."""
    before, now = (
        {(state.get("sls"), state.get("id"), state.get("state"), state.get("name")): state for state in of.get("states", ())}
        for of in (old, new)
    )
    ended = not new.get("files")
    rows = []
    for key in [*now, *(key for key in before if key not in now and not ended)]:
        pair = [_ended(of.get(key)) for of in (before, now)]
        if pair[0] != pair[1]:
            rows.append(("+" if key not in before else "−" if key not in now else "~", key[1], key[0], *pair))
    return rows


def _ended(state: Mapping[str, Any] | None) -> str:
    if state is None:
        return "not there"
    return "failed" if state.get("result") is False else "changed" if state.get("changed") else "unchanged"


def _grown(previous: Mapping[str, Any], kept: Kept) -> list[tuple[str, ...]]:
    """The packages and directories whose bytes differ the most."""
    measured = kept.get("contents") or {}
    old = {**(previous.get("package_bytes") or {}), **(previous.get("unowned") or {})}
    new = {**measured.get("packages", {}), **measured.get("unowned", {})}
    if not old or not new:
        return []
    names = [name for name in {*old, *new} - {""} if abs(new.get(name, 0) - old.get(name, 0)) >= _LEAST_BYTES]
    names.sort(key=lambda name: (-abs(new.get(name, 0) - old.get(name, 0)), name))
    return [
        (name, format_bytes(old.get(name, 0)), format_bytes(new.get(name, 0)), signed_amount(new.get(name, 0) - old.get(name, 0)))
        for name in names[:_LARGEST]
    ]


def _package_changes(found: PackageChanges, new_bytes: Mapping[str, int], old_bytes: Mapping[str, int]) -> Markup | None:
    """One table of what came, went and is another version; the largest of each first."""
    rows = [("+", name, version, _size(new_bytes.get(name))) for name, version in _by_size(found["added"], new_bytes)]
    rows += [
        ("~", name, f"{old} → {new}", _size(new_bytes.get(name))) for name, (old, new) in _by_size(found["changed"], new_bytes)
    ]
    rows += [("−", name, version, _size(old_bytes.get(name))) for name, version in _by_size(found["removed"], old_bytes)]
    return _maybe_folded(f"{len(rows)} packages", table(["", "Package", "Version", "#Size"], rows), len(rows)) if rows else None


def _maybe_folded(title: str, content: Markup, rows: int) -> Markup:
    return folded(title, content) if rows > _OPEN_ROWS else content


def _by_size(of: Mapping[str, Any], size: Mapping[str, int]) -> list[tuple[str, Any]]:
    return sorted(of.items(), key=lambda item: (-size.get(item[0], 0), item[0]))


def _package_bytes(kept: Kept) -> dict[str, int]:
    return (kept.get("contents") or {}).get("packages", {})


def _counted(found: PackageChanges) -> str:
    added, removed, changed = (len(found.get(key, ())) for key in ("added", "removed", "changed"))
    return f"Packages: {added} added, {removed} removed, {changed} in another version"


def _size(size: int | None) -> str:
    return format_bytes(size) if size else ""


def signed_amount(size: int) -> str:
    """More or less, for people."""
    return f"{'+' if size >= 0 else '−'}{format_bytes(abs(size))}"


def _time(text: str) -> str:
    return text.replace("T", " ").replace("Z", " UTC")


def _shown(value: object) -> str:
    if value is None or value == "":
        return "–"
    return f"{str(value)[:23]}…" if str(value).startswith(("sha256:", "sha512:")) else str(value)
