"""What a fleet of real builders does: from a commit to the published image, and builds an hour by one, two and four builders.

A real master and minions on the loopback, repositories with the hooks of ``ami_fleet_hg_hook`` and ``ami_fleet_git_hook``, the reactions and the
schedule (of 300 s) of ``ami_fleet``, real Keystone and Glance. What a fleet adds to a build is what is measured, not the machine: builds are light, and where builders are
counted, their variation waits for a slow download, which takes no processor.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP / "_utils"), str(TOP / "tests/support")]

from builder_machine import keystone_of  # noqa: E402
from building import CACHE, RELEASE  # noqa: E402
from cloud import Cloud  # noqa: E402
from cluster import BIN  # noqa: E402
from fleet_cluster import TARGET, FleetCluster  # noqa: E402
from repository_server import SOURCES  # noqa: E402
from small_job import make_sources, served  # noqa: E402
from vmimage.base.locate import locate_base  # noqa: E402
from vmimage.base.prepare import prepare_base  # noqa: E402
from vmimage.settings.schema import Settings  # noqa: E402
from vmimage.system import syscalls  # noqa: E402
from vmimage.system.progress import Progress  # noqa: E402

STATES = "a file is there:\n  file.managed: [{{name: /srv/said, contents: '{}'}}]\n"
SLOW = "a download takes its time:\n  file.managed: [{{name: /srv/fetched, source: {}/{}, skip_verify: True}}]\n"
LONGEST_SECONDS = 600
#: of the way from a commit to the published image, in its order: what begins each, and what ends it
PARTS = {
    "commit to poke": ("committed", "poked"),
    "poke to job": ("poked", "sent"),
    "job to build": ("sent", "begun"),
    "build": ("begun", "ended"),
    "end to published": ("ended", "published"),
}


class SlowDownload(BaseHTTPRequestHandler):
    """Answers each call after so many seconds."""

    seconds = 30.0

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        if self.command == "GET":
            time.sleep(self.seconds)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


@contextmanager
def slow_downloads():
    """The address of a server whose answers wait."""
    with ThreadingHTTPServer(("127.0.0.1", 0), SlowDownload) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Fleet:
    """A fleet of builders with its repositories, as the states install it.

    :param kinds: of repositories by their names, hg or git; each is a variation
    """

    def __init__(self, top, builders, kinds, cloud, base):
        self.cloud, self.client = cloud, cloud.client("alice", "RegionOne")
        settings = {"base": base, "network": "host", "room_mib": 16, "headroom_mib": 8, "update": False}
        self.cluster = FleetCluster(Path(tempfile.mkdtemp(prefix="fleet-")), builders, settings, keystone_of(cloud))
        self.sources = {name: SOURCES[kind](top / "repositories" / name) for name, kind in kinds.items()}

    def start(self):
        own = self.cluster.directory
        (own / "master.d/master").write_text(json.dumps(self.cluster.master_options), encoding="utf-8")
        fleet = {
            "repositories": {name: {source.kind: source.address} for name, source in self.sources.items()},
            "builders": {"target": TARGET},
            "defaults": {"keep": 1},
        }
        pillar = {"ami_fleet": fleet, "ami_fleet_master": {"directory": str(own / "master.d")}}
        self._apply("ami_fleet", pillar, "--local", "--file-root", TOP / "states")
        self.cluster.start_all()
        hook = {"program": str(own / "poke"), "hg": {}, "git": {}}
        for name, source in self.sources.items():
            hook[source.kind][name] = source.address
        self._apply("ami_fleet_hg_hook,ami_fleet_git_hook", {"ami_fleet_hook": hook})
        self.events = open(own / "events", "w+", encoding="utf-8")  # noqa: SIM115  closed by stop
        argv = [BIN / "salt-run", "-c", own / "master.d", "state.event", "tagmatch=*"]
        self.cluster.processes.append(subprocess.Popen(argv, stdout=self.events, start_new_session=True))
        self.listener = self.cluster.processes[-1]
        wait_for(self._hears)

    def _apply(self, sls, pillar, *words):
        argv = [BIN / "salt-call", "-c", self.cluster.directory / "b1.d", *words, "--retcode-passthrough", "state.apply", sls]
        done = subprocess.run([*argv, f"pillar={json.dumps(pillar)}"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def _hears(self):
        self.cluster.command("b1", "event.send", "a_test", "{}")
        return "a_test" in (self.cluster.directory / "events").read_text(encoding="utf-8")

    def stop(self):
        self.listener.kill()
        self.listener.wait()
        self.events.close()
        self.cluster.stop()

    def published(self, name):
        """``(when, id)`` of the image that has the name of a variation."""
        found = list(self.client.images.list(filters={"name": f"{name}-amd64"}))
        return time.time(), found[0]["vm_create_revision"].rpartition(":")[2] if len(found) == 1 else ""

    def seen(self, after=0):
        """Events of the bus, the oldest first: ``(when, tag, data)``."""
        found = []
        for line in (self.cluster.directory / "events").read_text(encoding="utf-8").splitlines():
            tag, _, text = line.partition("\t")
            with suppress(ValueError):
                data = json.loads(text)
                at = datetime.fromisoformat(data["_stamp"])
                found.append(((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp(), tag, data))
        return [event for event in found if event[0] >= after]


def wait_for(is_so):
    """What it returned when it was true at last."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while not (found := is_so()):
        assert time.monotonic() < deadline, "it never came to this"
        time.sleep(0.1)
    return found


def measure_commits(fleet, count):
    """``{kind of repository: [seconds of each part of the way]}`` of so many commits to each, one after the other."""
    found = {source.kind: [] for source in fleet.sources.values()}
    for number, name in [(number, name) for number in range(count + 1) for name in fleet.sources]:
        begun = time.time()
        node = fleet.sources[name].commit(variation__sls=STATES.format(number))
        committed = time.time()
        while fleet.published(name)[1] != node[:12]:
            assert time.time() < committed + LONGEST_SECONDS, fleet.cluster.run("vm_fleet.status")
            time.sleep(0.05)
        at = {"committed": committed, "published": time.time()}
        wait_for(lambda: not fleet.cluster.memory.open())
        for when, tag, data in fleet.seen(begun):
            place = {
                tag == "vm_fleet/poke": "poked",
                tag.endswith("/new") and data.get("fun") == "vm_create.create_variation": "sent",
                tag.startswith(f"vm_create/{name}/"): "begun",
                "/ret/" in tag and data.get("fun") == "vm_create.create_variation": "ended",
            }.get(True)
            if place:
                at.setdefault(place, when)
        parts = {part: round(at[last] - at[first], 3) for part, (first, last) in PARTS.items()}
        parts["beyond the build"] = round(sum(seconds for part, seconds in parts.items() if part != "build"), 3)
        kind = fleet.sources[name].kind
        print(f"  {kind} {number}, load {os.getloadavg()[0]:.1f}: {parts}", flush=True)
        if number:  # the first has its repository cloned, and the base read
            found[kind].append(parts)
    return found


def measure_builders(fleet, builders, each):
    """Builds an hour of a fleet with so many builders, while there is always work; and how long a build takes."""
    for name, source in fleet.sources.items():
        source.commit(variation__sls=SLOW.format(fleet.slow, name))
    wait_for(lambda: len(fleet.cluster.memory.results()) >= builders * each)
    ended = fleet.cluster.memory.results()
    assert {str(result.ending) for result in ended} == {"published"}, ended
    seconds = max(result.at for result in ended) - min(result.at - result.seconds for result in ended)
    found = {
        "builders": builders,
        "builds": len(ended),
        "seconds": round(seconds, 1),
        "an_hour": round(3600 * len(ended) / seconds, 1),
        "busy": round(sum(result.seconds for result in ended) / builders / seconds, 3),  # share of the builders' time
        "load": round(os.getloadavg()[2], 1),  # of others, too: the average of 15 minutes
        "median_seconds_of_a_build": round(statistics.median(result.seconds for result in ended), 1),
    }
    print(f"  {found}", flush=True)
    return found


@contextmanager
def machine():
    """Keystone, Glance, and the address of a light base that is served; all gone at the end."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_SLAVE)
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1,localhost"
    settings, progress = Settings(cache=CACHE, release=RELEASE), Progress()
    base = prepare_base(settings, locate_base(settings, progress), progress)
    with ExitStack() as stack:
        top = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-", dir="/var/tmp")))
        cloud = stack.enter_context(Cloud(top / "cloud", TOP / ".venv-openstack"))
        cloud.glance("RegionOne")
        address = stack.enter_context(served(top / "served"))
        make_sources(base, top / "served", address)
        yield top, cloud, f"{address}/base.img"


@contextmanager
def running(top, builders, kinds, cloud, base):
    """A fleet for the time of the block."""
    fleet = Fleet(top, builders, kinds, cloud, base)
    try:
        fleet.start()
        yield fleet
    finally:
        fleet.stop()
        cloud.remove_images()
        shutil.rmtree(top / "repositories", ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(
        prog="benchmarks/fleet builds", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--commits", type=int, default=20)
    parser.add_argument("--builders", default="1,2,4", help="numbers of builders; empty: none are counted")
    parser.add_argument("--each", type=int, default=4, help="builds of each builder")
    parser.add_argument("--seconds", type=float, default=30, help="for which a variation waits where builders are counted")
    parser.add_argument("--json", type=Path, help="write what was found to a file")
    chosen = parser.parse_args()
    SlowDownload.seconds = chosen.seconds
    found = {
        "machine": f"{os.cpu_count()} cores, {platform.freedesktop_os_release()['PRETTY_NAME']}",
        "date": time.strftime("%Y-%m-%d"),
    }
    with machine() as (top, cloud, base):
        if chosen.commits:
            print("from a commit to the published image, in seconds", flush=True)
            with running(top, 4, {"web": "hg", "db": "git"}, cloud, base) as fleet:
                found["commits"] = measure_commits(fleet, chosen.commits)
            every = {**found["commits"], "both": [one for own in found["commits"].values() for one in own]}
            for kind, own in every.items():
                medians = {part: round(statistics.median(one[part] for one in own), 2) for part in own[0]}
                found.setdefault("medians", {})[kind] = medians
                print(f"  {kind}, medians of {len(own)}: {medians}", flush=True)
        counts = [int(word) for word in chosen.builders.split(",") if word]
        for count in counts:
            print(f"{count} builders, builds that wait for {chosen.seconds:.0f} s", flush=True)
            kinds = {f"v{number}": "git" for number in range(count * chosen.each)}
            with slow_downloads() as slow, running(top, count, kinds, cloud, base) as fleet:
                fleet.slow = slow
                found.setdefault("builders", []).append(measure_builders(fleet, count, chosen.each))
        for own in found.get("builders", ()):
            own["efficiency"] = round(own["an_hour"] / own["builders"] / found["builders"][0]["an_hour"], 3)
            print("  {builders} builders: {an_hour} builds an hour, efficiency {efficiency}".format(**own), flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
