"""What a pass of the fleet costs as variations grow: seconds, requests, and the most memory that it takes.

The plan, the judge and the reconciler are the fleet's own. Store, cache, builders and repositories are those of the fleet's tests, in memory, which
count each request and answer at once: seconds are the processor's, of the fleet and of this store; a real store's latency comes on top for each request.
Each variation has all results that a fleet keeps (keep_logs), of which a pass reads each.
"""

import argparse
import json
import os
import platform
import sys
import time
import tracemalloc
from collections import Counter
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP / "_utils"), str(TOP / "tests/support")]

from fleet_world import World  # noqa: E402
from vmimage.fleet.records import Ending, Result  # noqa: E402


class Counted(World):
    """A world whose images are published already, and which counts what is read of the cache, too."""

    def __post_init__(self):
        super().__post_init__()
        self.reads = self.last = 0
        for name in ("fetch", "list"):
            setattr(self.cache, name, self._counting(getattr(self.cache, name)))

    def _counting(self, function):
        def counting(*words):
            self.reads += 1
            return function(*words)

        return counting

    def publish(self, name, revision):
        """An image as the fleet publishes it, made by a fleet of its own."""
        self.commit(name, revision)
        small = World(builders_names=("b",))
        small.commit(name, revision)
        small.reconcile()
        small.builders.finish_all()
        small.reconcile()
        assert small.problems_of_end() == []
        text = json.dumps(small.store.images).replace('"image-', f'"{name}-image-')
        self.store.images |= json.loads(text)
        wanted = self.wanted[f"{name}-amd64"]
        for _ in range(self.configuration.keep_logs):
            self.last += 1
            self.claims.end(Result(self.last, wanted.name, f"old {self.last}", "r0", "b", Ending.PUBLISHED, "", 1.0, 0.0))


def measure(world):
    """A pass: seconds, what it did, and its requests."""
    world.requests.clear()
    world.reads = 0
    begun = time.process_time()
    done = world.reconcile()
    seconds = time.process_time() - begun
    assert not done.problems, done.problems
    asked = Counter("cache" if word.startswith(("write", "forget")) else word for word in world.requests)
    cache = asked.pop("cache", 0) + world.reads
    return {
        "seconds": round(seconds, 3),
        "began": len(done.began),
        "published": sum(ended["ending"] == "published" for ended in done.ended.values()),
        "listings": asked["list"],
        "listings_by_name": asked["list by name"],
        "store_and_builders": sum(asked.values()),
        "cache": cache,
    }


def run(variations, builders):
    """Passes of a fleet whose images are all published: with nothing to do, with a commit for each builder, and with the builds that follow."""
    world = Counted(builders_names=tuple(f"b{number}" for number in range(builders)))
    for number in range(variations):
        world.publish(f"v{number}", "r1")
    passes = {"nothing to do": measure(world)}
    tracemalloc.start()
    world.reconcile()
    passes["nothing to do"]["peak_mib"] = round(tracemalloc.get_traced_memory()[1] / 2**20, 1)
    tracemalloc.stop()
    for number in range(builders):
        world.commit(f"v{number}", "r2")
    passes["a commit for each builder"] = measure(world)
    world.builders.finish_all()
    passes["each builder has ended"] = measure(world)
    assert world.problems_of_end() == []
    return {"variations": variations, "builders": builders, "images": len(world.store.images), **passes}


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
        print("\n{variations} variations, {builders} builders, {images} images".format(**found[-1]), flush=True)
        for name, figures in found[-1].items():
            if isinstance(figures, dict):
                print(f"  {name:26} " + "  ".join(f"{key} {value}" for key, value in figures.items()), flush=True)
    small, large = found[0], found[-1]
    print(f"\nvariations grew {large['variations'] / small['variations']:.1f} times")
    for name in (name for name, figures in small.items() if isinstance(figures, dict)):
        grown = {kind: large[name][kind] / max(1, small[name][kind]) for kind in ("store_and_builders", "cache")}
        print(
            f"  {name:26} requests to store and builders {grown['store_and_builders']:.1f} times, to the cache {grown['cache']:.1f} times"
        )
    if chosen.json:
        machine = f"{os.cpu_count()} cores, {platform.freedesktop_os_release()['PRETTY_NAME']}"
        told = {"machine": machine, "date": time.strftime("%Y-%m-%d"), "passes": found}
        chosen.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
