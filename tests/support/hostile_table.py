"""The table of hostile inputs: a test says by its mark which kind of input it has, and the outcomes are counted at the end.

pytestmark = pytest.mark.hostile("settings", refused=True)    every case of the file is one input, refused by name
@pytest.mark.hostile("archives")                              ... or held: nothing happens
"""

#: per kind what has happened when a test of it fails
OUT, HOST, FALSE, BLOCKED, LEFT = (
    "out of the root",
    "host files or ports touched",
    "false successes",
    "blocked names",
    "left",
)
COLUMNS = (OUT, HOST, FALSE, BLOCKED, LEFT)
KINDS = {
    "programs of a root": OUT,
    "archives": HOST,
    "traps in a root": HOST,
    "disk images": HOST,
    "giants": FALSE,
    "names and output": FALSE,
    "settings": FALSE,
    "repositories": HOST,
    "what does not boot": FALSE,
    "deep trees": BLOCKED,
}
MARK = "hostile(kind, refused=False): each case is one hostile input of a kind, refused by its name or else held"


def note_inputs(items):
    """Let the report of each test carry what its mark says, also from a worker of xdist."""
    for item in items:
        mark = item.get_closest_marker("hostile")
        if mark:
            (kind,) = mark.args
            assert kind in KINDS, f"{item.nodeid}: {kind!r} is no kind of {sorted(KINDS)}"
            item.user_properties.append(("hostile", [kind, bool(mark.kwargs.get("refused"))]))


def print_table(reporter):
    """The kinds with their inputs, and the closing line; nothing where no test has the mark."""
    rows, skipped = {}, 0
    for how in ("passed", "failed", "error", "skipped"):
        for report in reporter.stats.get(how, ()):
            said = dict(getattr(report, "user_properties", ())).get("hostile")
            if not said:
                continue
            kind, refused = said
            row = rows.setdefault(kind, dict.fromkeys(("inputs", "held", "refused by name", *COLUMNS), 0))
            skipped += how == "skipped"
            if how == "error" and report.when == "teardown":
                row[LEFT if "left behind" in str(report.longrepr) else HOST] += 1
            elif how in ("failed", "error"):
                row["inputs"] += 1
                row[KINDS[kind]] += 1
            elif how == "passed":
                row["inputs"] += 1
                row["refused by name" if refused else "held"] += 1
    if not rows:
        return
    heads = ("inputs", "held", "refused by name", *COLUMNS)
    total = {head: sum(row[head] for row in rows.values()) for head in heads}
    reporter.section("hostile inputs")
    reporter.write_line(f"{'kind':20}" + "".join(f"  {head}" for head in heads))
    for kind, row in [*((kind, rows[kind]) for kind in KINDS if kind in rows), ("all", total)]:
        reporter.write_line(f"{kind:20}" + "".join(f"  {row[head]:>{len(head)}}" for head in heads))
    reporter.write_line(", ".join(f"{total[head]} {head}" for head in COLUMNS) + (f", {skipped} skipped" if skipped else ""))
