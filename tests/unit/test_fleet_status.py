"""What runs, and where it is: of each kind of builder, also where one of them cannot be asked."""

import pytest
from fleet_world import MemoryCache
from vmimage.errors import CloudUnreachable
from vmimage.fleet import fleet
from vmimage.fleet.records import Claim, Phase, Wanted
from vmimage.fleet.table import make_table

OPTIONS = {"ami_fleet": {"repositories": {"web": {"git": "/nowhere"}}, "builders": {"target": "*"}}}


class Builders:
    """Builders that can only be watched."""

    def __init__(self, places=None):
        self.places = places

    def watch(self, claims, known):
        if self.places is None:
            raise CloudUnreachable("cannot list servers: it is away")
        return {claim.number: self.places[claim.number] for claim in claims}


@pytest.fixture
def opened(monkeypatch, tmp_path):
    own = fleet.Fleet({**OPTIONS, "cachedir": str(tmp_path)}, MemoryCache(), None)
    for number, kind in ((1, "minions"), (2, "small"), (3, "away")):
        wanted = Wanted(f"v{number}-amd64", f"v{number}", "web", "0" * 40, {}, kind, "d")
        own.claims.write(Claim(number, wanted, f"b{number}", 0.0, 60.0, Phase.SENT))
    kinds = {"minions": Builders({1: ("pack", 70)}), "small": Builders({2: ("upload", 50)}), "away": Builders()}
    monkeypatch.setattr(fleet, "builders_of", lambda configuration, means: kinds)
    monkeypatch.setattr(own, "plan", lambda: {"images": {}, "problems": {}})
    return own


def test_each_build_shows_its_step_whatever_builds_it(opened):
    running = {build["number"]: (build["step"], build["percent"]) for build in opened.status()["running"]}
    assert running == {1: ("pack", 70), 2: ("upload", 50), 3: ("", None)}
    assert "#2  v2-amd64  b2  upload 50 %" in make_table(opened.status(), 100.0)


def test_builders_that_cannot_be_asked_are_a_problem_and_hide_nothing(opened):
    assert opened.status()["problems"] == {"away": str(CloudUnreachable("cannot list servers: it is away"))}
