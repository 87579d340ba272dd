"""Each process of a fleet dies or fails at each of its phases: after at most two passes each name points to what is wanted, once."""

import itertools

import pytest
from fleet_world import LEASE, Killed, World
from vmimage.errors import CallFailed, StoreRefused, StoreUnreachable
from vmimage.fleet.records import Ending


def world_with_a_commit():
    """A fleet that has published a first commit, and whose repository has a second."""
    world = World()
    world.commit("web", "first")
    world.reconcile()
    world.builders.finish_all()
    world.reconcile()
    assert world.problems_of_end() == []
    world.commit("web", "second")
    world.requests.clear()
    return world


def requests_of_a_build():
    """What a build of the second commit asks for, in order, and after how many of it the builder has ended."""
    world = world_with_a_commit()
    world.reconcile()
    before = len(world.requests)
    world.builders.finish_all()
    world.reconcile()
    assert world.problems_of_end() == []
    return before, list(world.requests)


BEFORE, REQUESTS = requests_of_a_build()


def go_on(world, passes=2):
    """The passes after the fault; the time between them is enough for a lease to end."""
    world.fault = None
    for _ in range(passes):
        world.builders.finish_all()
        world.now += LEASE + 30
        world.reconcile()


def disturbed(count, kind):
    """A build of the second commit in which a request is the last of its process, or fails."""
    world = world_with_a_commit()
    world.killed_at(count, kind)
    try:
        world.reconcile()
        world.builders.finish_all()
        world.reconcile()
    except Killed:
        pass
    return world


@pytest.mark.parametrize(
    "count", range(1, len(REQUESTS) + 1), ids=lambda count: f"{count}-{REQUESTS[count - 1].replace(' ', '-')}"
)
def test_the_reconciler_is_killed(count):
    world = disturbed(count, Killed)
    assert {*world.builders.started} <= {claim.number for claim in world.claims.open()} | {
        result.number for result in world.claims.results()
    }
    go_on(world)
    assert world.problems_of_end() == []
    assert world.claims.next_number() > max(result.number for result in world.claims.results())


@pytest.mark.parametrize(
    "count", range(1, len(REQUESTS) + 1), ids=lambda count: f"{count}-{REQUESTS[count - 1].replace(' ', '-')}"
)
def test_a_service_does_not_answer(count):
    kind = (
        CallFailed
        if "start" in REQUESTS[count - 1] or REQUESTS[count - 1] in ("stop", "log", "look at builders")
        else StoreUnreachable
    )
    if REQUESTS[count - 1].startswith(("write", "forget")):
        kind = OSError  # the disk of the master's cache is full
    world = World()
    world = world_with_a_commit()
    world.killed_at(count, kind)
    for _ in range(2):
        try:
            world.reconcile()
        except (OSError, CallFailed, StoreUnreachable):
            pass
        world.builders.finish_all()
    go_on(world)
    assert world.problems_of_end() == []


def builder_dies_with_its_machine(world, claim):
    world.builders.jobs[claim].state = "gone"
    world.builders.silent.add(world.builders.jobs[claim].claim.builder)


def builder_dies_and_is_back(world, claim):
    world.builders.jobs[claim].state = "gone"


def builder_is_stopped_and_goes_on_late(world, claim):
    world.builders.jobs[claim].state = "stopped"


DEATHS = [builder_dies_with_its_machine, builder_dies_and_is_back, builder_is_stopped_and_goes_on_late]


@pytest.mark.parametrize("phase", ["claimed", "building", "uploading", "uploaded", "promoting"])
@pytest.mark.parametrize("death", DEATHS)
def test_a_builder_vanishes(death, phase):
    world = world_with_a_commit()
    if phase == "claimed":
        world.killed_at(REQUESTS.index("ask to start") + 1)
        with pytest.raises(Killed):
            world.reconcile()
        world.fault = None
        world.reconcile()
    else:
        world.reconcile()
    (claim,) = [claim.number for claim in world.claims.open()]
    if phase in ("uploading", "uploaded", "promoting"):
        world.builders.upload(claim, complete=phase != "uploading")
    death(world, claim)
    if phase == "promoting":
        world.killed_at(6)
        with pytest.raises(Killed):
            world.reconcile()
    go_on(world)
    late = world.builders.jobs[claim].state == "stopped"
    if late and phase in ("claimed", "building"):
        world.builders.finish(claim)  # it goes on, and uploads what nobody waits for any more
        world.reconcile()
    assert world.problems_of_end() == []
    assert [result.ending for result in world.claims.results() if result.ending is Ending.FAILED] == []


@pytest.mark.parametrize("phase", ["building", "uploading", "uploaded"])
@pytest.mark.parametrize("error", ["the state x failed", "stopped by SIGTERM"])
def test_a_build_fails(phase, error):
    world = world_with_a_commit()
    world.reconcile()
    (claim,) = [claim.number for claim in world.claims.open()]
    if phase != "building":
        world.builders.upload(claim, complete=phase == "uploaded")
    job = world.builders.jobs[claim]
    job.state, job.error = "ended", error
    world.reconcile()
    go_on(world)
    assert world.problems_of_end() == []
    failed = [result for result in world.claims.results() if result.ending is Ending.FAILED]
    assert len(failed) == (error == "the state x failed" and phase != "uploaded")  # all that matters lies in the store


def test_a_build_that_ends_in_the_midst_of_a_pass_is_published():
    """Between the look at the builders and that at the store, or in the first: it is no build without images."""
    for moment in ("look at builders", "list"):
        world = world_with_a_commit()
        world.reconcile()

        def end(request, world=world, moment=moment):
            if request == moment:
                world.fault = None
                world.builders.finish_all()

        world.fault = end
        world.reconcile()
        world.reconcile()
        assert world.problems_of_end() == [] and world.builders.started == [1, 2], moment


@pytest.mark.parametrize("count", range(1, 6))
def test_the_store_refuses(count):
    """It is no variation's fault for ever: the next attempt goes through."""
    world = world_with_a_commit()
    world.reconcile()
    world.builders.finish_all()
    changes = itertools.count(1)

    def refuse(request):
        if request == "change" and next(changes) == count:
            raise StoreRefused("the store refuses")

    world.fault = refuse
    world.reconcile()
    go_on(world, passes=3)
    assert world.problems_of_end() == []


@pytest.mark.parametrize("bank", ["state", "claims", "results", "logs", "asked"])
@pytest.mark.parametrize("when", ["building", "uploaded", "published"])
def test_the_memory_is_lost(bank, when):
    world = world_with_a_commit()
    world.reconcile()
    if when != "building":
        world.builders.finish_all()
    if when == "published":
        world.reconcile()
    world.cache.banks.pop(f"vm_fleet/main/{bank}", None)
    before = world.published()["triplet"][0]
    go_on(world, passes=3)
    assert world.problems_of_end() == []
    assert world.published()["triplet"][0] >= before


def test_a_build_that_hangs_is_stopped_at_its_deadline_has_failed_and_is_tried_again():
    world = world_with_a_commit()
    world.reconcile()
    (claim,) = world.claims.open()
    deadline = world.configuration.builders.deadline
    while world.now + LEASE < claim.since + deadline:  # it is seen to run all the time
        world.now += LEASE / 2
        world.reconcile()
    assert [claim.number for claim in world.claims.open()] == [claim.number]
    world.now += 2 * LEASE
    world.reconcile()
    result = world.claims.result(claim.number)
    assert result.ending is Ending.FAILED and f"did not end within {deadline:.0f} s" in result.reason
    assert world.builders.jobs[claim.number].state == "ended"
    go_on(world, passes=3)
    assert world.problems_of_end() == []
