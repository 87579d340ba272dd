"""What was found, as a table for people."""

from racing import machine, targets

_COLUMNS = ("", "version", "warm s", "min - max", "x ours", "cold s", "image MB", "free", "peak MiB", "MB down", "cold")
_LEFT = 2  # so many columns are words
_MOST_NAMED = 12


def render(found):
    """Plain text: the job, the machine, the table, the targets, and notes."""
    contests = found["contests"]
    if not contests:
        return "\n".join([found["job"], "", *_without_result(found)])
    reference = reference_of(contests)
    rows = [_COLUMNS, *(_row(contest, reference) for contest in contests.values())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_aligned(row, widths) for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(
        [found["job"], describe_machine(found), "", *lines, "", *targets.lines(found["targets"]), "", *_notes(found, reference)]
    )


def reference_of(contests):
    """The contest that the others are compared with: ours, or else the first."""
    return contests.get("ours") or next(iter(contests.values()))


def seconds_each(contest, lap=None):
    """Of one triplet: the median of the warm runs, or a run."""
    return (lap or contest["median"])["seconds"] / contest["count"]


def ratio(contest, reference):
    """How many times as long as the reference it took for a triplet, by the medians of the warm runs."""
    return seconds_each(contest) / seconds_each(reference)


def describe_machine(found):
    """The machine, the date and the number of rounds, in one line."""
    rounds = max(len(contest["warm"]) for contest in found["contests"].values())
    return f"{machine.in_words(found['machine'])}, {rounds} warm round{'s'[: rounds > 1]}"


def _aligned(row, widths):
    pairs = list(zip(row, widths, strict=True))
    cells = [cell.ljust(width) for cell, width in pairs[:_LEFT]] + [cell.rjust(width) for cell, width in pairs[_LEFT:]]
    return "  ".join(cells).rstrip()


def _row(contest, reference):
    seconds = [seconds_each(contest, lap) for lap in contest["warm"]]
    median, cold = contest["median"], contest["cold"] or {}
    return (
        contest["title"],
        contest["version"],
        f"{seconds_each(contest):.1f}",
        f"{min(seconds):.1f} - {max(seconds):.1f}",
        f"{ratio(contest, reference):.2f}",
        _number(cold.get("seconds"), contest["count"], ".1f"),
        _number(median["image_bytes"], 1e6, ".0f"),
        _number(median["free_bytes"], 1e6, ".0f"),
        _number(median["peak_mib"], 1, ".0f"),
        _number(median["downloaded_bytes"], 1e6, ".1f"),
        _number(cold.get("downloaded_bytes"), 1e6, ".1f"),
    )


def _number(value, unit, form):
    return "-" if value is None else format(value / unit, form)


def _notes(found, reference):
    yield "warm: the median; what each keeps, and its programs, were in the page cache. x ours: by these medians."
    yield "cold: one run with empty caches; base.tar and programs are at hand."
    yield (
        "image MB: the length of the file; free: what of it is free space. Who has no ext4 output is given what its files take, "
        "8 MiB for a journal and the room that a first boot needs, as ours; mke2fs -d leaves out blocks of zeros."
    )
    yield f"peak MiB: {found['memory_means']}."
    yield (
        "MB down: what the mirror sent, warm and cold."
        if found["downloads_counted"]
        else "MB down: not measured: no http mirror."
    )
    yield from _without_result(found)
    for contest in found["contests"].values():
        yield f"{contest['title']}: {'; '.join([contest['note'], *_differences(contest, reference)])}."


def _without_result(found):
    yield from (f"{name}: {why}." for name, why in (found["absent"] | found.get("failed", {})).items())


def _differences(contest, reference):
    """How far its result is not the same as the reference's."""
    for word, names in contest["differs"].items():
        if names:
            more = f" and {len(names) - _MOST_NAMED} more" if names[_MOST_NAMED:] else ""
            yield f"{word} {', '.join(names[:_MOST_NAMED])}{more}"
    theirs, ours = (each["warm"][-1].get("journal") for each in (contest, reference))
    if theirs != ours and theirs:
        yield f"its journal is {theirs}"
