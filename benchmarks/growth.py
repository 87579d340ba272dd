"""How the time of a build grows with its variation: 10 MB to 5 GB of files, and 10 to 2000 files with a state each.

A clean build each, of the base that the race uses, without update.  The variation's own files are in the page cache when the time
begins, where memory has room for them; it ends when image, kernel and ramdisk are on the disk.
"""

import argparse
import json
import shutil
import statistics
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "_utils"))

from peers.grown import SIZES, Grown  # noqa: E402
from racing import curve, machine, meter  # noqa: E402
from racing.line import fit, largest_deviation  # noqa: E402
from racing.track import Lap, Track, clear_leftovers  # noqa: E402
from racing.warm import warm_up  # noqa: E402
from vmimage.errors import VmImageError  # noqa: E402
from vmimage.namespace import run_privately  # noqa: E402


def grow(options):
    """Run all builds and return what was found, plain data."""
    track = Track(options.directory, options.tools)
    track.make_base(say)
    contests = [Grown(track, size) for size in SIZES if not options.only or size.name in options.only]
    for contest in contests:
        say(f"writing {contest.size.name}")
        contest.write_files(track.cache(contest.name))
    run_lap(track, contests[0])  # prepares the base and Salt's runtime
    laps = {contest.size.name: [] for contest in contests}
    for number in range(options.rounds):
        start = number % len(contests)
        for contest in contests[start:] + contests[:start]:
            laps[contest.size.name].append(run_lap(track, contest))
    panels = {}
    for contest in contests:
        panels.setdefault(contest.size.panel, []).append(point(contest.size, laps[contest.size.name]))
    return {
        "job": " ".join(__doc__.split("\n\n")[0].split()),
        "machine": machine.describe(options.directory),
        "rounds": options.rounds,
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
    """The points, and the line through them, if there are enough for one to be wrong."""
    if len(points) < 3:
        return {"points": points, "line": None}
    places = [(one["amount"], one["seconds"]) for one in points]
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="builds of each size (3); the median counts")
    parser.add_argument("--json", type=Path, help="file to write all figures to")
    parser.add_argument("--svg", type=Path, help="file to draw the plot into")
    parser.add_argument("--only", type=lambda text: text.split(","), help=f"of {', '.join(size.name for size in SIZES)}")
    parser.add_argument("--directory", type=Path, default=TOP / "build/growth", help="where to work, on a disk (build/growth)")
    parser.add_argument("--tools", type=Path, default=TOP / "build/race/tools", help="where the base is (build/race/tools)")
    options = parser.parse_args()
    unknown = set(options.only or ()) - {size.name for size in SIZES}
    if unknown or options.rounds < 1:
        parser.error(f"there is no size {', '.join(sorted(unknown))}" if unknown else "there is at least one round")
    return options


def main():
    options = parse_options()
    options.directory = options.directory.resolve()
    options.directory.mkdir(parents=True, exist_ok=True)
    clear_leftovers(options.directory)
    try:
        found = run_privately(lambda: grow(options))
    except VmImageError as error:
        sys.exit(f"benchmarks/growth: {error}")
    finally:
        clear_leftovers(options.directory)
        shutil.rmtree(options.directory / "caches/growth/variations", ignore_errors=True)
    print(curve.render(found))
    for path, text in ((options.json, json.dumps(found, indent=1) + "\n"), (options.svg, curve.draw(found))):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
