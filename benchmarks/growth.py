"""How the time of a build grows with its variation: 10 MB to 5 GB of files, and 10 to 2000 files with a state each.

A clean build each, of the base that the race uses, without update.  The variation's own files are in the page cache when the time
begins, where memory has room for them; it ends when image, kernel and ramdisk are on the disk.
"""

import shutil
import statistics
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "_utils"))

from peers.grown import SIZES, Grown  # noqa: E402
from racing import curve, machine, meter, options  # noqa: E402
from racing.line import fit, largest_deviation  # noqa: E402
from racing.track import Lap, Track, clear_leftovers  # noqa: E402
from racing.warm import warm_up  # noqa: E402
from vmimage.errors import VmImageError  # noqa: E402
from vmimage.system.namespace import run_privately  # noqa: E402


def grow(chosen):
    """Run all builds and return what was found, plain data."""
    track = Track(chosen.directory, chosen.tools)
    track.make_base(say)
    contests = [Grown(track, size) for size in SIZES if not chosen.only or size.name in chosen.only]
    for contest in contests:
        say(f"writing {contest.size.name}")
        contest.write_files(track.cache(contest.name))
    run_lap(track, contests[0])  # prepares the base and Salt's runtime
    laps = {contest.size.name: [] for contest in contests}
    for number in range(chosen.rounds):
        start = number % len(contests)
        for contest in contests[start:] + contests[:start]:
            laps[contest.size.name].append(run_lap(track, contest))
    panels = {}
    for contest in contests:
        panels.setdefault(contest.size.panel, []).append(point(contest.size, laps[contest.size.name]))
    return {
        "job": " ".join(__doc__.split("\n\n")[0].split()),
        "machine": machine.describe(chosen.directory),
        "rounds": chosen.rounds,
        "version": contests[0].version(),
        "panels": {panel: with_line(points) for panel, points in panels.items()},
    }


def run_lap(track, contest):
    """One build, measured and looked at."""
    lap = Lap(track, contest.name, "")
    with lap.ready():
        warm_up(contest.reads(lap))
        found = meter.measure(contest.command(lap), lap.log)
        contest.look_at(lap)
        found |= contest.details(lap)
    say(f"{contest.size.name}: {found['seconds']} s {found['steps']}")
    return found


def point(size, laps):
    """A size, the medians of its seconds and steps, and all its laps."""
    return {
        "name": size.name,
        "amount": size.amount,
        "bytes": size.bytes(),
        "files": len(size.files()),
        "seconds": statistics.median(lap["seconds"] for lap in laps),
        "steps": {step: statistics.median(lap["steps"][step] for lap in laps) for step in laps[0]["steps"]},
        "laps": laps,
    }


def with_line(points):
    """The points, and the line through them, if there are enough points for a line to be wrong."""
    if len(points) < 3:
        return {"points": points, "line": None}
    places = [(point["amount"], point["seconds"]) for point in points]
    line = fit(places)
    at, seconds = largest_deviation(places, line)
    return {
        "points": points,
        "line": {"seconds": round(line[0], 3), "seconds_per_one": round(line[1], 6)},
        "largest_deviation": {"at": at, "seconds": round(seconds, 2), "of_line": round(seconds / (line[0] + line[1] * at), 3)},
    }


def say(line):
    print(line, file=sys.stderr, flush=True)


def parse_options():
    tools = {"type": Path, "default": TOP / "build/race/tools", "help": "where the base is (build/race/tools)"}
    names = [size.name for size in SIZES]
    return options.parse(__doc__, names, what="size", rounds=3, directory=TOP / "build/growth", more=[("--tools", tools)])


def main():
    chosen = parse_options()
    clear_leftovers(chosen.directory)
    try:
        found = run_privately(lambda: grow(chosen))
    except VmImageError as error:
        sys.exit(f"benchmarks/growth: {error}")
    finally:
        clear_leftovers(chosen.directory)
        shutil.rmtree(chosen.directory / "caches/growth/variations", ignore_errors=True)
    print(curve.render(found))
    options.write(chosen, found, curve.draw)


if __name__ == "__main__":
    main()
