"""What a pass of the fleet costs as variations grow: seconds, requests, and the most memory that it takes.

The plan, the judge and the reconciler are the fleet's own. Store, cache, builders and repositories are those of the fleet's tests, in memory, which
count each request and answer at once: seconds are those of the fleet alone, and a real store's latency comes for each request on top.
"""

import argparse
import json
import sys
import time
import tracemalloc
from collections import Counter
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP / "_utils"), str(TOP / "tests/support")]

from fleet_world import World  # noqa: E402


class Counted(World):
    """A world that counts what is read, too."""

    def __post_init__(self):
        super().__post_init__()
        self.reads = Counter()
        for kind, thing, names in (("cache", self.cache, ("fetch", "list")), ("store", self.store, ("list_images", "get"))):
            for name in names:
                if hasattr(thing, name):
                    setattr(thing, name, self._counting(f"{kind} {name}", getattr(thing, name)))

    def _counting(self, what, function):
        def counting(*words, **more):
            self.reads[what] += 1
            return function(*words, **more)

        return counting


def measure(world):
    """A pass: seconds without the accounting of memory, and requests by kind."""
    world.requests.clear()
    world.reads.clear()
    begun = time.perf_counter()
    done = world.reconcile()
    seconds = time.perf_counter() - begun
    assert not done.problems or set(done.problems) <= {"minions"}, done.problems
    return {"seconds": round(seconds, 3), "began": len(done.began), "ended": len(done.ended), **counted(world)}


def counted(world):
    """Requests to the store and the builders, and to Salt's cache."""
    asked = Counter("cache" if word.startswith(("write", "forget")) else "services" for word in world.requests)
    for what, count in world.reads.items():
        asked["cache" if what.startswith("cache") else "services"] += count
    return {"services": asked["services"], "cache": asked["cache"]}


def run(variations, builders):
    """A fleet of this size: a first pass, one with results, one with nothing to do, and what is needed until all is published."""
    world = Counted(builders_names=tuple(f"b{number}" for number in range(builders)))
    for number in range(variations):
        world.commit(f"v{number}", "r1")
    passes = {"first": measure(world)}
    world.builders.finish_all()
    passes["a builder each has ended"] = measure(world)
    count = 2
    while world.claims.open():
        world.builders.finish_all()
        world.reconcile()
        count += 1
    assert [problem for problem in world.problems_of_end()] == []
    passes["nothing to do"] = measure(world)
    tracemalloc.start()
    world.reconcile()
    passes["nothing to do"]["peak_mib"] = round(tracemalloc.get_traced_memory()[1] / 2**20, 1)
    tracemalloc.stop()
    for number in range(builders):
        world.commit(f"v{number}", "r2")
    passes["as many commits as builders"] = measure(world)
    return {"variations": variations, "builders": builders, "passes_in_all": count, **passes}


def main():
    parser = argparse.ArgumentParser(
        prog="benchmarks/fleet", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variations", type=int, default=1000)
    parser.add_argument("--builders", type=int, default=100)
    parser.add_argument("--json", type=Path, help="write what was found to a file")
    chosen = parser.parse_args()
    sizes = [max(1, chosen.variations // part) for part in (8, 4, 2, 1)]
    found = []
    for size in sizes:
        found.append(run(size, min(chosen.builders, size)))
        print(
            f"\n{size} variations, {found[-1]['builders']} builders: all published after {found[-1]['passes_in_all']} passes",
            flush=True,
        )
        for name, figures in found[-1].items():
            if isinstance(figures, dict):
                print(f"  {name:28} " + "  ".join(f"{key} {value}" for key, value in figures.items()), flush=True)
    small, large = found[0], found[-1]
    times = large["variations"] / small["variations"]
    for name in ("first", "a builder each has ended", "nothing to do"):
        for kind in ("services", "cache"):
            grown = large[name][kind] / max(1, small[name][kind])
            print(f"{name}: {kind} grew {grown:.1f} times, variations {times:.1f} times")
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
