"""What is to be built, why, and why not yet; and what becomes of a build."""

import pytest
from fleet_world import LEASE, World
from memory_store import MemoryStore
from vmimage.fleet.configuration import Configuration
from vmimage.fleet.plan import State, in_order, plan_image
from vmimage.fleet.published import look_at
from vmimage.fleet.records import Ending, Result, Wanted
from vmimage.glance.waiting import promote_uploaded
from vmimage.settings.schema import Settings

NAME, DAY = "web-amd64", 86400.0
UPLOADED = 1767225600.0  # 2026-01-01, as the store in memory has it


def wanted(digest="now"):
    return Wanted(NAME, "web", "web", "0123456789abcdef", {}, "minions", digest)


def shelf(order="now", number=3):
    store = MemoryStore()
    store.add_build(NAME, number, order=order)
    promote_uploaded(store, Settings(name="web"), NAME, number)
    return look_at(store)


def result(number, ending, *, digest="now", at=UPLOADED, **facts):
    return Result(number, NAME, digest, "rev", "b1", ending, "why", 1.0, at, facts)


def plan(shelf, results=(), asked=None, now=UPLOADED + 1, claim=None, **options):
    return plan_image(wanted(), shelf, claim, results, asked or {}, Configuration(retry=10.0, **options), now)


def test_what_is_published_as_it_was_ordered_is_fine():
    assert plan(shelf()).state is State.FINE


@pytest.mark.parametrize(
    ("made", "state", "words"),
    [
        (look_at(MemoryStore()), State.MISSING, "there is no triplet of web-amd64"),
        (shelf("before"), State.STALE, "is of build 3, and the commit or the settings have changed"),
        (shelf(""), State.STALE, "was not ordered by this fleet"),
        (None, State.UNKNOWN, "cannot be asked"),
    ],
)
def test_what_is_not_has_a_reason(made, state, words):
    planned = plan(made)
    assert planned.state is state and words in planned.reason


def test_an_old_image_is_looked_at_again_once_in_its_age():
    old = UPLOADED + 31 * DAY
    assert plan(shelf(), now=old).state is State.FINE  # without max_age
    assert plan(shelf(), now=old, max_age=30 * DAY).state is State.STALE
    (image,) = shelf().published(NAME, ["triplet"]).values()
    confirmed = [result(4, Ending.UNCHANGED, at=old, images=[image.id])]
    assert plan(shelf(), confirmed, now=old + 1, max_age=30 * DAY).state is State.FINE
    assert plan(shelf(), confirmed, now=old + 31 * DAY, max_age=30 * DAY).state is State.STALE
    another = [result(4, Ending.UNCHANGED, at=old, images=["another image"])]
    assert plan(shelf(), another, now=old + 1, max_age=30 * DAY).state is State.STALE


def test_a_commit_that_changes_nothing_in_the_image_is_built_once():
    (image,) = shelf("before").published(NAME, ["triplet"]).values()
    assert plan(shelf("before"), [result(4, Ending.UNCHANGED, images=[image.id])]).state is State.FINE
    assert plan(shelf("before"), [result(4, Ending.UNCHANGED, digest="other", images=[image.id])]).state is State.STALE


def test_failures_wait_longer_each_time_and_are_parked_at_last():
    missing = look_at(MemoryStore())
    failures = [result(number, Ending.FAILED) for number in (3, 2, 1)]
    assert plan(missing, failures[2:], attempts=3).until == UPLOADED + 10
    assert plan(missing, failures[1:], attempts=3).until == UPLOADED + 20
    assert plan(missing, failures[2:], attempts=3, now=UPLOADED + 11).state is State.MISSING
    parked = plan(missing, failures, attempts=3, now=UPLOADED + DAY)
    assert parked.state is State.PARKED and "failed 3 times, last: why" in parked.reason
    assert plan(missing, failures, {f"retry.{NAME}": UPLOADED + 1}, attempts=3, now=UPLOADED + DAY).state is State.MISSING
    of_another_input = [result(number, Ending.FAILED, digest="before") for number in (3, 2, 1)]
    assert plan(missing, of_another_input).state is State.MISSING


def test_a_lost_build_is_no_failure():
    missing = look_at(MemoryStore())
    assert plan(missing, [result(1, Ending.LOST)]).state is State.MISSING
    lost = [result(number, Ending.LOST) for number in range(9, 0, -1)]
    assert plan(missing, lost, now=UPLOADED + DAY).state is State.MISSING  # never parked
    assert plan(missing, lost).state is State.WAITING  # and no storm


def test_a_cancelled_build_waits_for_a_person_or_a_commit():
    missing = look_at(MemoryStore())
    assert plan(missing, [result(1, Ending.CANCELLED)], now=UPLOADED + DAY).state is State.PARKED
    assert plan(missing, [result(1, Ending.CANCELLED)], {f"retry.{NAME}": UPLOADED + 1}).state is State.MISSING


@pytest.mark.parametrize("what", ["pause", f"pause.{NAME}"])
def test_what_is_paused_is_not_begun(what):
    assert plan(look_at(MemoryStore()), asked={what: 1.0}).state is State.PAUSED
    assert plan(look_at(MemoryStore()), asked={"pause.other-amd64": 1.0}).state is State.MISSING


def test_a_rollback_by_a_person_is_not_undone():
    store = MemoryStore()
    for number, order in ((1, "before"), (2, "now")):
        store.add_build(NAME, number, order=order)
        promote_uploaded(store, Settings(name="web"), NAME, number)
    first, second = sorted(
        (image for image in store.list_images() if "vm_create_state" in image), key=lambda image: image["vm_create_number"]
    )
    store.change_image(
        second["id"], name="archive web-amd64 x", vm_create_state="archived", vm_create_rolled_back="2026-01-02T00:00:00Z"
    )
    store.change_image(first["id"], name=NAME, vm_create_state="published", vm_create_generation="3")
    assert plan(look_at(store)).state is State.PARKED
    assert plan(look_at(store), asked={f"retry.{NAME}": UPLOADED + 2 * DAY}).state is State.STALE


def test_what_is_missing_comes_first_and_then_who_has_waited_longest():
    world = World(names=("a", "b", "c"))
    for name in ("a", "b", "c"):
        world.commit(name, "first")
    planned = [plan_image(one, look_at(MemoryStore()), None, (), {}, Configuration(), 1.0) for one in world.wanted.values()]
    results = {"a-amd64": [result(1, Ending.LOST, at=9.0)], "b-amd64": [result(2, Ending.LOST, at=5.0)]}
    assert [due.wanted.name for due in in_order(planned, results)] == ["c-amd64", "b-amd64", "a-amd64"]


# whole passes, in memory


def test_no_more_builds_than_builders_and_limit():
    world = World(names=("a", "b", "c", "d"), options={"limit": 2})
    for name in ("a", "b", "c", "d"):
        world.commit(name, "first")
    world.reconcile()
    world.reconcile()
    assert len(world.claims.open()) == 2
    for _ in range(3):
        world.builders.finish_all()
        world.reconcile()
    assert world.problems_of_end() == []


def test_ten_commits_in_a_burst_lead_to_the_newest_of_each():
    world = World(names=("a", "b", "c", "d", "e"))
    for turn in range(2):
        for name in ("a", "b", "c", "d", "e"):
            world.commit(name, f"r{turn}")
            world.reconcile()
    for _ in range(6):
        world.builders.finish_all()
        world.reconcile()
    assert world.problems_of_end() == []
    assert len(world.builders.started) <= 8  # the first three were begun; of the others the newest commit alone


@pytest.mark.parametrize(("supersede", "ending"), [("wait", Ending.PUBLISHED), ("stop", Ending.SUPERSEDED)])
def test_a_newer_commit_while_the_older_is_built(supersede, ending):
    world = World(options={"supersede": supersede})
    world.commit("web", "first")
    world.reconcile()
    world.commit("web", "second")
    world.reconcile()
    for _ in range(3):
        world.builders.finish_all()
        world.reconcile()
    assert world.problems_of_end() == []
    assert [result.ending for result in world.claims.results()] == [Ending.PUBLISHED, ending]


def test_a_failing_variation_blocks_no_other():
    world = World(names=("bad", "good"), builders_names=("b1",), options={"attempts": 2})
    for name in ("bad", "good"):
        world.commit(name, "first")
    for _ in range(8):
        world.now += 100
        world.reconcile()
        for number, job in world.builders.jobs.items():
            if job.state == "running" and job.claim.wanted.variation == "bad":
                job.state, job.error = "ended", "State x failed"
            elif job.state == "running":
                world.builders.finish(number)
    assert world.published("good")["triplet"][1] == "good-first" and world.published("bad") == {}
    endings = [result.ending for result in world.claims.results() if result.name == "bad-amd64"]
    assert endings == [Ending.FAILED] * 2


def test_a_repository_that_cannot_be_asked_blocks_no_other_and_loses_no_build():
    world = World(names=("web", "db"))
    for name in ("web", "db"):
        world.commit(name, "first")
    world.reconcile()
    world.unknown = {"web"}
    world.builders.finish_all()
    done = world.reconcile()
    assert done.problems == {"web": "it cannot be asked"}
    assert world.problems_of_end() == []


def test_what_is_wanted_no_longer_is_stopped():
    world = World(names=("web", "db"))
    for name in ("web", "db"):
        world.commit(name, "first")
    world.reconcile()
    del world.wanted["web-amd64"]
    world.reconcile()
    world.reconcile()
    assert {claim.wanted.name for claim in world.claims.open()} == {"db-amd64"}


def test_a_cancelled_build_is_not_published_though_it_is_whole():
    world = World()
    world.commit("web", "first")
    world.reconcile()
    world.claims.ask("cancel.1", world.now)
    world.builders.finish_all()
    world.reconcile()
    assert world.published() == {} and not world.claims.open() and world.claims.results()[0].ending is Ending.CANCELLED
    assert world.store.images == {}
    world.reconcile()
    assert world.builders.started == [1]


def test_a_build_that_runs_longer_than_its_lease_is_not_lost():
    world = World()
    world.commit("web", "first")
    world.reconcile()
    for _ in range(20):
        world.now += LEASE / 2
        world.reconcile()
    assert world.builders.started == [1] and len(world.claims.open()) == 1


def test_without_a_free_builder_the_pass_says_so():
    world = World(builders_names=())
    world.commit("web", "first")
    assert "none of the minions answers" in world.reconcile().problems["minions"]


def test_results_and_logs_beyond_keep_logs_go():
    world = World(options={"keep_logs": 2})
    for turn in range(4):
        world.commit("web", f"r{turn}")
        world.reconcile()
        world.builders.finish_all()
        world.reconcile()
    assert [result.number for result in world.claims.results()] == [4, 3]
    assert world.claims.log(4) == "log of 4" and world.claims.log(1) == ""
    assert world.claims.next_number() == 5
