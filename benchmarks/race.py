"""A race on one job: base in cache, update, nginx + postgresql-15 + a user + a motd, ext4 root image + kernel + ramdisk.

Each contest runs once with empty caches (cold), then in each round once warm, every round in another order: what it keeps,
and its programs, are in the page cache when its time begins.  All start from the same base.tar; downloading that is not timed.  The
time ends when image, kernel and ramdisk are on the disk (fsync).  A contest that fails leaves the race, which says why and goes on; then
the exit code is 1.
"""

import os
import statistics
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "_utils"))

from peers import CONTESTS  # noqa: E402
from racing import check, machine, meter, options, plot, table, targets  # noqa: E402
from racing.proxy import counted  # noqa: E402
from racing.track import Lap, Track, clear_leftovers  # noqa: E402
from racing.warm import warm_up  # noqa: E402
from vmimage.errors import VmImageError  # noqa: E402
from vmimage.system.namespace import run_privately  # noqa: E402


def race(chosen):
    """Run all laps and return what was found, plain data."""
    track = Track(chosen.directory, chosen.tools)
    contests = [make(track) for make in CONTESTS if is_wanted(make, chosen)]
    track.make_base(say)
    contests, absent = install(contests)
    with counted(track.proxy_port) as traffic:
        is_cold = [contest for contest in contests if not (chosen.warm_only and track.has_cache(contest.name))]
        for contest in is_cold:
            track.empty_cache(contest.name)
        laps, failed = run_laps(
            contests, is_cold, chosen.rounds, lambda contest, number: run_lap(track, contest, traffic, number)
        )
    for contest in is_cold:
        if contest.name in failed:  # what is there is not what a warm run finds
            track.empty_cache(contest.name)
    summaries = {contest.name: summarize(contest, laps[contest.name]) for contest in contests if contest.name not in failed}
    return {
        "job": " ".join(__doc__.split("\n\n")[0].split()),
        "machine": machine.describe(chosen.directory),
        "memory_means": meter.MEANS,
        "downloads_counted": track.counts_downloads(),
        "absent": absent,
        "failed": failed,
        "packages": check.compare_packages(summaries),
        "contests": summaries,
        "targets": targets.measure(summaries),
    }


def is_wanted(contest, chosen):
    return contest.name in chosen.only if chosen.only else contest.default or chosen.all


def install(contests):
    """Get the programs of each; who cannot be had stays away, and that is noted.

    :returns: ``(contests that can run, {name: why not})``
    """
    ready, absent = [], {}
    for contest in contests:
        say(f"installing {contest.name}")
        try:
            contest.install()
            ready.append(contest)
        except subprocess.CalledProcessError as error:
            say((error.stderr or b"").decode(errors="replace"))
            absent[contest.name] = f"could not be installed: {Path(error.cmd[0]).name} failed"
    return ready, absent


def run_laps(contests, is_cold, rounds, run):
    """All laps in their order; a contest of which one fails runs no more.

    :param list is_cold: the contests that begin with a cold lap
    :param run: measures a lap, given contest and number; 0 is the cold lap
    :returns: ``({name: laps}, {name: in which lap it failed, and why})``
    """
    order = [(contest, 0) for contest in is_cold]
    for number in range(1, rounds + 1):
        start = (number - 1) % max(1, len(contests))
        order += [(contest, number) for contest in contests[start:] + contests[:start]]
    laps, failed = {contest.name: [] for contest in contests}, {}
    for contest, number in order:
        if contest.name in failed:
            continue
        try:
            laps[contest.name].append(run(contest, number))
        except (VmImageError, subprocess.CalledProcessError, OSError) as error:
            failed[contest.name] = f"failed in {f'round {number}' if number else 'its cold run'}: {error}"
            say(f"{contest.name} {failed[contest.name]}")
    return laps, failed


def run_lap(track, contest, traffic, number):
    """One run of one contest: measured, its result looked at, and thrown away."""
    lap = Lap(track, contest.name, contest.motd(number), number)
    with lap.ready():
        if number:
            warm_up(contest.reads(lap))
        traffic.forget()
        found = meter.measure(contest.command(lap), lap.log)
        found["downloaded_bytes"] = traffic.bytes if track.counts_downloads() else None
        for triplet in contest.triplets(lap):
            found |= check.look_at(triplet, lap)
        for disk in contest.disks(lap):
            found |= check.look_at_disk(disk, lap)
        found |= contest.details(lap)
    found["round"] = number
    say(f"{'cold' if number == 0 else f'round {number}'}: {contest.name}: {found['seconds']} s")
    return found


def summarize(contest, laps):
    """The cold lap apart from the warm laps, and the medians of these."""
    warm = [lap for lap in laps if lap["round"]]

    def median(key):
        known = [lap[key] for lap in warm if lap.get(key) is not None]
        return statistics.median(known) if known else None

    keys = ("seconds", "peak_mib", "downloaded_bytes", "image_bytes", "image_disk_bytes", "content_bytes", "free_bytes")
    return {
        "title": contest.title,
        "kind": contest.kind,
        "count": contest.count,
        "clean": contest.clean,
        "version": contest.version(),
        "note": contest.note,
        "median": {key: median(key) for key in keys},
        "cold": next((lap for lap in laps if not lap["round"]), None),
        "warm": warm,
    }


def say(line):
    print(line, file=sys.stderr, flush=True)


def parse_options():
    more = [
        ("--all", {"action": "store_true", "help": "run every contest: what the targets are measured by"}),
        ("--warm-only", {"action": "store_true", "help": "no cold run of who has a cache of an earlier race"}),
        ("--tools", {"type": Path, "help": "where the peers and the base are installed (DIRECTORY/tools, or $RACE_TOOLS)"}),
    ]
    names = [contest.name for contest in CONTESTS]
    return options.parse(__doc__, names, what="contest", rounds=5, directory=TOP / "build/race", more=more)


def main():
    chosen = parse_options()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # few users have it: each run would compile the checkout
    clear_leftovers(chosen.directory)  # of a race that was killed
    try:
        found = run_privately(lambda: race(chosen))  # its mounts and processes end with it, however it ends
    except VmImageError as error:
        sys.exit(f"benchmarks/race: {error}")
    finally:
        clear_leftovers(chosen.directory)
    print(table.render(found))
    options.write(chosen, found, plot.draw)
    if found["failed"] or not found["contests"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
