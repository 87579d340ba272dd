"""The targets of the project: the figure of each, its limit, and whether it is met."""

#: target, contest, its limit as so many times the other's, that other contest; by the medians of the warm seconds
_TIMES = (
    ("clean warm build, by mkosi", "ours", 0.65, "mkosi"),
    ("clean warm build, by diskimage-builder (prepared base)", "ours", 0.4, "diskimage-builder"),
    ("edit to image, by mkosi's Incremental=yes", "incremental", 0.9, "mkosi-incremental"),
    ("edit to image, by mkosi's clean warm build", "incremental", 0.35, "mkosi"),
    ("nothing changed, by salt-call test.ping", "unchanged", 2, "ping"),
    ("all outputs, by the triplet of the same base", "outputs", 1.5, "triplet-of-disk"),
)
_MOST_TIMES_COLD = 1
_MOST_TIMES_CONTENT = 1.04
_JOURNAL_BYTES = 8 << 20
_MOST_TIMES_TEN = 0.35
_MOST_MIB_OF_TEN = 1024


def measure(contests):
    """What the contests tell of each target.

    :param dict contests: their summaries by name
    :returns: list of ``{target, limit, figure, met, value, other, unit}``: figure is value / other; None where one of the two did not run
    """
    seconds = {name: contest["median"]["seconds"] for name, contest in contests.items()}
    cold = {name: contest["cold"]["seconds"] for name, contest in contests.items() if contest["cold"]}
    bytes_of = {name: contest["median"]["image_bytes"] for name, contest in contests.items()}
    peers = [name for name, contest in contests.items() if contest["kind"] == "peer" and contest["clean"]]
    fastest = min(peers, key=seconds.get, default=None)
    smallest = min(peers, key=bytes_of.get, default=None)
    content = contests["ours"]["median"]["content_bytes"] + _JOURNAL_BYTES if "ours" in contests else None
    found = [_target(target, limit, seconds.get(contest), seconds.get(other)) for target, contest, limit, other in _TIMES]
    found.append(_target("cold build, by mmdebstrap's", _MOST_TIMES_COLD, cold.get("ours"), cold.get("mmdebstrap")))
    found.append(_target("image, by du of its files and the journal", _MOST_TIMES_CONTENT, bytes_of.get("ours"), content, "MB"))
    found.append(
        _target(f"image, by the smallest peer's ({smallest or '-'})", 1, bytes_of.get("ours"), bytes_of.get(smallest), "MB")
    )
    ten = contests["many"]["count"] * seconds[fastest] if "many" in contests and fastest else None
    found.append(
        _target(f"ten by one call, by ten of the fastest peer ({fastest or '-'})", _MOST_TIMES_TEN, seconds.get("many"), ten)
    )
    peak = contests["many"]["median"]["peak_mib"] if "many" in contests else None
    found.append(_target("memory of ten by one call, by 1 GiB", 1, peak, _MOST_MIB_OF_TEN, "MiB"))
    return found


def _target(target, limit, value, other, unit="s"):
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
    width = max(len(entry["target"]) for entry in found)
    yield "targets".ljust(width + 2) + f"{'figure':>8}{'limit':>8}"
    for entry in found:
        figure = "-" if entry["figure"] is None else f"{entry['figure']:.3f}"
        yield f"  {entry['target']:<{width}}{figure:>8}{entry['limit']:>8.2f}  {_verdict(entry)}"


def _verdict(entry):
    if entry["figure"] is None:
        return "not measured: --all runs everything"
    scale = 1e6 if entry["unit"] == "MB" else 1
    value, other, unit = entry["value"] / scale, entry["other"] / scale, entry["unit"]
    most = entry["limit"] * other
    word = "met" if entry["met"] else "missed"
    return f"{word} by {abs(value - most):.1f} {unit}: {value:.1f} {unit}, at most {most:.1f}"
