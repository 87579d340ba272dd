"""Amounts as rectangles within rectangles, each as large as its amount.  Pure functions."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

_HEAD = 18  # pixels: a line of text
_GAP = 2
_LEAST_GROUP = 86, 44  # pixels: in a smaller rectangle parts would not be seen


#: ``(x, y, width, height)`` in pixels
Place = tuple[float, float, float, float]


class Node(NamedTuple):
    """An amount, and what it is made of.

    :ivar amount: of the whole; if there are parts, their sum
    :ivar parts: nodes
    :ivar kind: for its colour; handed on to parts without a kind
    """

    name: str
    amount: float
    parts: tuple["Node", ...] = ()
    kind: str = ""


class Tile(NamedTuple):
    """A rectangle.

    :ivar node: what it shows
    :ivar depth: how many others it lies in
    :ivar is_group: whether others lie in it
    :ivar path: names from the outermost to this rectangle
    """

    node: Node
    place: Place
    depth: int
    is_group: bool
    path: str
    kind: str


def lay_out(parts: Iterable[Node], width: float, height: float) -> list[Tile]:
    """The tiles of nodes in a frame, a group before what is in it."""
    return list(_tiles(parts, (0, 0, width, height), 0, "", ""))


def _tiles(parts: Iterable[Node], place: Place, depth: int, path: str, kind: str) -> Iterator[Tile]:
    ordered = sorted((part for part in parts if part.amount > 0), key=lambda part: -part.amount)
    for node, (x, y, width, height) in zip(ordered, squarify([part.amount for part in ordered], *place), strict=True):
        is_group = bool(node.parts) and width >= _LEAST_GROUP[0] and height >= _LEAST_GROUP[1]
        own, own_kind = f"{path}/{node.name}" if path else node.name, node.kind or kind
        yield Tile(node, (x, y, width, height), depth, is_group, own, own_kind)
        if is_group:
            within = x + _GAP, y + _HEAD, width - 2 * _GAP, height - _HEAD - _GAP
            yield from _tiles(node.parts, within, depth + 1, own, own_kind)


def squarify(amounts: Sequence[float], x: float, y: float, width: float, height: float) -> list[Place]:
    """Rectangles that fill a frame, in the order of the amounts (the largest first), as near to squares as rows allow."""
    scale = width * height / sum(amounts) if amounts else 0
    areas, placed, begin = [amount * scale for amount in amounts], [], 0
    while begin < len(areas):
        side, end = min(width, height), begin + 1
        row = areas[begin]
        while end < len(areas) and _worst(areas[begin : end + 1], row + areas[end], side) <= _worst(areas[begin:end], row, side):
            row += areas[end]
            end += 1
        thick, at = row / side if side else 0, 0.0
        for area in areas[begin:end]:
            long = area / thick if thick else 0
            placed.append((x, y + at, thick, long) if width >= height else (x + at, y, long, thick))
            at += long
        if width >= height:
            x, width = x + thick, max(0.0, width - thick)
        else:
            y, height = y + thick, max(0.0, height - thick)
        begin = end
    return placed


def _worst(areas: Sequence[float], total: float, side: float) -> float:
    """The most stretched rectangle of a row: its long side by its short side."""
    if not total or not side:
        return 0
    return max(side * side * areas[0] / total**2, total**2 / (side * side * areas[-1]))
