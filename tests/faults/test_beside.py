"""Three builds that share a cache, at the same time: what becomes of one, or of the cache, is nothing that another build has to know."""

import json
import os

import pytest
from building import what_is_left
from flipping import CACHES, flip
from small_job import Job


@pytest.fixture(scope="session")
def jobs(job, tmp_path_factory):
    """The job of this worker, and two others with a workspace and an output of their own."""
    found, minion = [job], json.loads((job.directory / "etc/minion").read_text(encoding="utf-8"))
    for number in range(2):
        other = Job(tmp_path_factory.mktemp(f"beside-{number}") / "job", minion["ami.base"].rpartition("/")[0])
        config = json.loads((other.directory / "etc/minion").read_text(encoding="utf-8"))
        (other.directory / "etc/minion").write_text(json.dumps({**config, "ami.cache": str(job.cache)}), encoding="utf-8")
        other.cache, other.before = job.cache, what_is_left()
        found.append(other)
    return found


#: of the build that begins first: what it shares with the others is half made
KILLED = (
    "rename cache/downloads/*-base.img",
    "rename cache/bases/raw-*-5.img",
    "rename cache/bases/raw-*-5.json",
    "rename cache/apt/*",
    "rename cache/apt/archives/*/own_1_all.deb",
    "rename cache/apt/unpacked/*/own_1_all.deb.tar",
)


def build_all(fault, jobs, place=""):
    """Build all jobs at the same time, the first killed at a place, then judge what came of it."""
    for job in jobs:
        job.begin({"place": f"{place} #1", "what": "kill"} if place and job is fault.job else None)
    outcomes = [job.finish() for job in jobs]
    for job, (code, said) in [*zip(jobs, outcomes, strict=True)][1:]:
        assert code == 0, said
        job.triplet.check()
        assert job.image_tree() == fault.job.tree
        assert not job.wait_until_nothing_is_left(job.before)
    if place:
        assert f"{place} #1" in fault.job.places() or outcomes[0][0] == 0, "the build never came there"
    fault.judge("builds beside each other", *outcomes[0])
    assert place or outcomes[0][0] == 0, outcomes[0][1]


@pytest.mark.parametrize("place", ["", *KILLED])
def test_where_nothing_is_there_yet_and_the_first_is_killed_the_others_succeed(fault, jobs, place):
    fault.begin_cold()
    build_all(fault, jobs, place)


@pytest.mark.parametrize("what", [name for name, (pattern, _) in CACHES.items() if "downloads" not in pattern])
def test_where_something_shared_is_damaged_each_of_them_succeeds(fault, jobs, what):
    fault.begin_warm()
    (path,) = fault.job.directory.glob(CACHES[what][0])
    flip(path)
    build_all(fault, jobs)


def test_where_somebody_has_touched_the_base_each_of_them_succeeds(fault, jobs):
    fault.begin_warm()
    (path,) = fault.job.directory.glob("cache/bases/*.img")
    os.utime(path)
    build_all(fault, jobs)
