"""The targets of the project: the figure of each, its limit, and whether it is met."""

#: target, contest, its limit as so many times the other's, that other contest; by the medians of the warm seconds
_TIMES = (
    ("clean warm build, by mkosi", "ours", 0.8, "mkosi"),
    ("clean warm build, by diskimage-builder (prepared base)", "ours", 0.4, "diskimage-builder"),
    ("edit to image, by mkosi's clean warm build", "incremental", 0.4, "mkosi"),
    ("nothing changed, by salt-call test.ping", "unchanged", 2, "ping"),
)
_MOST_TIMES_CONTENT = 1.04
_MOST_TIMES_TEN = 0.6


def measure(contests):
    """What the contests tell of each target.

    :param dict contests: their summaries by name
    :returns: list of ``{target, limit, figure, met, value, other, unit}``: figure is value / other; None where one of the two did not run
    """
    seconds = {name: one["median"]["seconds"] for name, one in contests.items()}
    bytes_of = {name: one["median"]["image_bytes"] for name, one in contests.items()}
    peers = [name for name, one in contests.items() if one["kind"] == "peer" and one["clean"]]
    fastest = min(peers, key=seconds.get, default=None)
    smallest = min(peers, key=bytes_of.get, default=None)
    content = contests["ours"]["median"]["content_bytes"] if "ours" in contests else None
    found = [_told(target, limit, seconds.get(one), seconds.get(other)) for target, one, limit, other in _TIMES]
    found.append(
        _told("image, by du of its files (the journal not among them)", _MOST_TIMES_CONTENT, bytes_of.get("ours"), content, "MB")
    )
    found.append(
        _told(f"image, by the smallest peer's ({smallest or '-'})", 1, bytes_of.get("ours"), bytes_of.get(smallest), "MB")
    )
    ten = contests["many"]["count"] * seconds[fastest] if "many" in contests and fastest else None
    found.append(
        _told(f"ten by one call, by ten of the fastest peer ({fastest or '-'})", _MOST_TIMES_TEN, seconds.get("many"), ten)
    )
    return found


def _told(target, limit, value, other, unit="s"):
    figure = value / other if value and other else None
    return {
        "target": target,
        "limit": limit,
        "figure": figure and round(figure, 3),
        "met": figure and figure <= limit,
        "value": value,
        "other": other,
        "unit": unit,
    }


def lines(found):
    """For people: each with its figure, and by how much it is met or missed."""
    width = max(len(one["target"]) for one in found)
    yield "targets".ljust(width + 2) + f"{'figure':>8}{'limit':>8}"
    for one in found:
        figure = "-" if one["figure"] is None else f"{one['figure']:.3f}"
        yield f"  {one['target']:<{width}}{figure:>8}{one['limit']:>8.2f}  {_verdict(one)}"


def _verdict(one):
    if one["figure"] is None:
        return "not measured: --all runs everything"
    scale = 1e6 if one["unit"] == "MB" else 1
    value, other, unit = one["value"] / scale, one["other"] / scale, one["unit"]
    most = one["limit"] * other
    word = "met" if one["met"] else "missed"
    return f"{word} by {abs(value - most):.1f} {unit}: {value:.1f} {unit}, at most {most:.1f}"
