"""What takes the room in an image: two treemaps, by package and by directory."""

from collections.abc import Iterable, Mapping
from typing import Any

from vmimage.apt.packages import PackageChanges
from vmimage.image.usage import Branch
from vmimage.report.html import Markup, element, folded, joined, table
from vmimage.report.treemap import Node, Tile, lay_out
from vmimage.system.progress import format_bytes

#: the frames in pixels: for a window, and for a narrow window; the style gives them these heights
_FRAMES = {"wide": (1140, 520), "narrow": (372, 620)}
_TILES = 70  # packages by name in the treemap; smaller packages are a single tile
_ROWS = 60
_ONE_BRANCH = 0.97  # a directory that holds little else than a single other directory is shown together with it


def contents(measured: Mapping[str, Any] | None, changes: PackageChanges) -> Markup | None:
    """The section, or None where nothing was measured.

    :param measured: of :func:`vmimage.image.usage.measure_contents`
    :param changes: of the packages against the base
    """
    if not measured:
        return None
    total = measured["directories"][1]
    groups = group_packages(measured, changes)
    whole = f"{format_bytes(total)} in {measured['inodes']} files and directories"
    return element(
        "section",
        element("h2", "What is in the image"),
        element("h3", "By package ", element("small", whole)),
        _legend(groups),
        _drawn(groups, total, "What takes the room, by package"),
        element("h3", "By directory"),
        _drawn(_directories(measured["directories"])[2], total, "What takes the room, by directory"),
        folded(f"The largest {min(_ROWS, len(measured['packages']))} packages", _package_table(measured, changes, total)),
        folded("Files that no package brought", _unowned_table(measured)) if measured["unowned"] else None,
        id="contents",
    )


def group_packages(measured: Mapping[str, Any], changes: PackageChanges) -> list[Node]:
    """Packages by where they come from: added to the base, of the base, of none."""
    added = {**changes.get("added", {}), **changes.get("changed", {})}
    ordered = sorted(measured["packages"].items(), key=lambda item: -item[1])
    shown = {name for name, _ in ordered[:_TILES] if name}
    groups = []
    for title, kind, names in (
        ("of the base", "base", {name for name, _ in ordered if name not in added}),
        ("added or updated", "added", set(added)),
    ):
        parts = [Node(name, size) for name, size in ordered if name in names and name in shown]
        rest = [size for name, size in ordered if name in names and name not in shown]
        parts += [Node(f"{len(rest)} smaller", sum(rest))] if rest else []
        groups.append(Node(title, sum(part.amount for part in parts), tuple(parts), kind))
    parts = [Node(place or "others", size) for place, size in measured["unowned"].items()]
    groups.append(Node("files of no package", sum(part.amount for part in parts), tuple(parts), "unowned"))
    return [group for group in groups if group.amount]


def _directories(branch: Branch) -> Node:
    """A tree of :func:`~vmimage.image.usage.measure_contents` as nodes; a directory with a single branch is joined with it."""
    name, size, parts = branch
    named = [part for part in parts if part[0]]
    if name != "/" and len(named) == 1 and named[0][1] >= _ONE_BRANCH * size:
        below = _directories(named[0])
        rest = size - below.amount
        return Node(f"{name}/{below.name}", size, (*below.parts, *([Node("files here", rest)] if below.parts and rest else [])))
    return Node(name, size, tuple(Node("rest", part[1]) if not part[0] else _directories(part) for part in parts))


def _legend(groups: Iterable[Node]) -> Markup:
    return element(
        "p",
        [
            element(
                "span", element("i", class_=f"key {group.kind}"), f" {group.name} {format_bytes(group.amount)}", class_="entry"
            )
            for group in groups
        ],
        class_="legend",
    )


def _drawn(nodes: Iterable[Node], total: int, title: str) -> list[Markup]:
    return [
        element(
            "svg",
            [_tile(tile, width, height, total) for tile in lay_out(nodes, width, height)],
            class_=f"treemap {name}",
            role="img",
            aria_label=title,
        )
        for name, (width, height) in _FRAMES.items()
    ]


def _tile(tile: Tile, width: float, height: float, total: int) -> Markup:
    """A rectangle with its words, cut off at its edge by being an svg of its own; across as a share, for the frame is as wide as it may."""
    x, y, across, down = tile.place
    words = []
    if across >= 34 and down >= 16:
        words.append(element("text", tile.node.name, x="5", y="13"))
    size = format_bytes(tile.node.amount)
    if tile.is_group:
        words = [element("text", tile.node.name, element("tspan", size, class_="size", dx="7"), x="5", y="13")]
    elif across >= 54 and down >= 32:
        words.append(element("text", size, x="5", y="28", class_="size"))
    shade = f"depth{min(tile.depth, 4)}"
    return element(
        "svg",
        element("title", f"{tile.path}\n{size}, {tile.node.amount / total:.1%}"),
        element("rect", width="100%", height="100%"),
        words,
        class_=f"tile {'group ' if tile.is_group else ''}{tile.kind or shade}",
        x=f"{100 * x / width:.3f}%",
        y=f"{y:.2f}",
        width=f"{100 * across / width:.3f}%",
        height=f"{down:.2f}",
    )


def _package_table(measured: Mapping[str, Any], changes: PackageChanges, total: int) -> Markup:
    rows = []
    for name, size in sorted(measured["packages"].items(), key=lambda item: -item[1])[:_ROWS]:
        where = "added" if name in changes.get("added", {}) else "updated" if name in changes.get("changed", {}) else "base"
        rows.append((name or "smaller packages together", where, format_bytes(size), f"{size / total:.1%}"))
    return table(["Package", "From", "#Size", "#Share"], rows)


def _unowned_table(measured: Mapping[str, Any]) -> Markup:
    rows = [(place or "others", format_bytes(size)) for place, size in measured["unowned"].items()]
    return joined(
        element("p", "What states wrote, and what packages made when they were installed, such as caches and the ramdisk."),
        table(["Directory", "#Size"], rows),
    )
