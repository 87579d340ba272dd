"""A fleet on the loopback: a real master, four real minions, real Keystone and Glance, real hg and git."""

import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from builder_machine import keystone_of
from cloud_fixtures import cloud, no_proxy  # noqa: F401  fixtures
from fleet_cluster import FleetCluster
from looking_at import assert_nothing_unfinished, images_of
from repository_server import SOURCES
from root_fixtures import bootstrapped, machine, own_directories  # noqa: F401  fixtures
from small_job import make_sources, served

#: repository: kind; each is a variation of its name
REPOSITORIES = {"web": "hg", "db": "git", "mail": "hg", "proxy": "git", "cache": "hg"}
STATES = "a file is there:\n  file.managed: [{{name: /srv/said, contents: '{}'}}]\n"


class Running:
    """A fleet that runs, and what a test does with it.

    :ivar dict sources: :class:`repository_server.Source` by name
    """

    def __init__(self, cluster, cloud, sources):  # noqa: F811
        self.cluster, self.cloud, self.sources = cluster, cloud, sources
        self.client = cloud.client("alice", "RegionOne")

    def commit(self, name, text, more=""):
        """A commit; returns its full hash."""
        return self.sources[name].commit(variation__sls=STATES.format(text) + more)

    def revisions(self):
        """``{image name: beginnings of the commits of all images that have it}`` of what is published."""
        found = {}
        for image in images_of(self.client):
            name = image["name"]
            if name.endswith("-amd64") and not name.startswith(("new ", "archive ", "broken ")):
                found.setdefault(name, []).append(image["vm_create_revision"].rpartition(":")[2])
        return found

    def wait_published(self, commits, seconds=900):
        """Until the names point to images of these commits; returns the seconds that it took."""
        wanted, begun = {f"{name}-amd64": [node[:12]] for name, node in commits.items()}, time.monotonic()
        while not (wanted.items() <= self.revisions().items()):
            assert time.monotonic() - begun < seconds, f"{wanted} is wanted, and there is {self.revisions()}; {self.status()}"
            time.sleep(0.5)
        return time.monotonic() - begun

    def wait_idle(self, seconds=900):
        """Until no build is under way: a name moves before its result is written."""
        deadline = time.monotonic() + seconds
        while claims := self.claims():
            assert time.monotonic() < deadline, claims
            time.sleep(0.5)

    def wait_settled(self, seconds=900):
        """Until nothing is under way and nothing is due; returns the status."""
        deadline = time.monotonic() + seconds
        while True:
            self.wait_idle(seconds)
            status = self.status()
            if not status["running"] and all(image["state"] in ("fine", "parked") for image in status["plan"].values()):
                return status
            assert time.monotonic() < deadline, json.dumps(status, indent=1)[:4000]

    def wait_running(self, name, node, seconds=900):
        """Until a commit is built, and has begun to print; returns its claim."""
        deadline = time.monotonic() + seconds
        while True:
            for claim in self.claims():
                log = self.cluster.directory / claim["builder"] / "work" / name / "build.log"
                if claim["wanted"]["variation"] == name and claim["wanted"]["revision"] == node and log.exists():
                    return claim
            assert time.monotonic() < deadline, self.status()
            time.sleep(0.1)

    @property
    def memory(self):
        """What the fleet remembers, read as it lies in the master's cache: no program is started."""
        return self.cluster.memory

    def claims(self):
        return [asdict(claim) for claim in self.memory.open()]

    def history(self, name=None):
        """As of ``vm_fleet.history``."""
        return [asdict(result) for result in self.memory.results() if name is None or result.name == f"{name}-amd64"]

    def log(self, name):
        """What the last build of a variation has printed."""
        return self.memory.log(self.history(name)[0]["number"])

    def status(self):
        return self.cluster.run("vm_fleet.status")

    def assert_clean(self):
        """Each name points to a single image, and nothing is left in the store."""
        self.wait_settled()
        assert all(len(found) == 1 for found in self.revisions().values()), self.revisions()
        assert_nothing_unfinished(self.client)


@pytest.fixture(scope="session")
def fleet(cloud, bootstrapped, own_directories, tmp_path_factory):  # noqa: F811
    """A :class:`Running` fleet, which begins with the first commit of each variation."""
    top = tmp_path_factory.mktemp("fleet")
    with served(top / "served") as address:
        make_sources(bootstrapped, top / "served", address)
        settings = {
            "base": f"{address}/base.img",
            "network": "host",
            "room_mib": 16,
            "headroom_mib": 8,
            "update": False,
            "tries": 3,
        }
        cluster = FleetCluster(Path(tempfile.mkdtemp(prefix="fleet-")), 4, settings, keystone_of(cloud))
        sources = {}
        for name, kind in REPOSITORIES.items():
            sources[name] = SOURCES[kind](top / "repositories" / name, {"variation__sls": STATES.format("first")})
        cluster.order({name: {source.kind: source.address} for name, source in sources.items()}, defaults={"keep": 2}, attempts=2)
        try:
            cluster.start_all()
            yield Running(cluster, cloud, sources)
        finally:
            cluster.stop()
