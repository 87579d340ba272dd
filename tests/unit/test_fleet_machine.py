"""Claims and promotion under whatever comes in whatever order: commits, builders that fail, vanish and come back, a reconciler that is killed."""

from fleet_world import LEASE, Killed, World
from hypothesis import settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from vmimage.errors import StoreUnreachable, VmImageError

NAMES = ("web", "db")


class Fleet(RuleBasedStateMachine):
    """Two variations and three builders."""

    def __init__(self):
        super().__init__()
        self.world, self.revision = World(names=NAMES), 0
        self.newest, self.given_up = {}, set()
        for name in NAMES:
            self.world.commit(name, "first")

    def jobs(self, *states):
        return sorted(number for number, job in self.world.builders.jobs.items() if job.state in states)

    @rule(name=some.sampled_from(NAMES))
    def commit(self, name):
        self.revision += 1
        self.world.commit(name, f"r{self.revision}")

    @rule(seconds=some.sampled_from([0, 5, LEASE, 4000]))
    def reconcile(self, seconds):
        self.world.now += seconds
        self.world.reconcile()

    @rule(count=some.integers(1, 30), kind=some.sampled_from([Killed, StoreUnreachable, OSError]))
    def reconcile_with_a_fault(self, count, kind):
        self.world.killed_at(count, kind)
        try:
            self.world.reconcile()
        except (Killed, VmImageError, OSError):
            pass
        self.world.fault = None

    @rule(which=some.integers(0, 5))
    def a_build_ends_well(self, which):
        if numbers := self.jobs("running", "stopped"):
            self.world.builders.finish(numbers[which % len(numbers)])

    @rule(which=some.integers(0, 5), uploaded=some.booleans(), complete=some.booleans())
    def a_build_fails(self, which, uploaded, complete):
        if numbers := self.jobs("running"):
            number = numbers[which % len(numbers)]
            if uploaded:
                self.world.builders.upload(number, complete=complete)
            job = self.world.builders.jobs[number]
            job.state, job.error = "ended", "a state failed"

    @rule(which=some.integers(0, 5), state=some.sampled_from(["gone", "stopped"]))
    def a_builder_vanishes(self, which, state):
        if numbers := self.jobs("running"):
            self.world.builders.jobs[numbers[which % len(numbers)]].state = state

    @rule(name=some.sampled_from(["b1", "b2", "b3"]))
    def a_builder_is_silent(self, name):
        self.world.builders.silent ^= {name}

    @rule(name=some.sampled_from(NAMES))
    def a_repository_cannot_be_asked(self, name):
        self.world.unknown ^= {name}

    @rule()
    def a_person_cancels(self):
        for claim in self.world.claims.open()[:1]:
            self.world.claims.ask(f"cancel.{claim.number}", self.world.now)

    @rule(name=some.sampled_from(NAMES))
    def a_person_retries(self, name):
        self.world.claims.ask(f"retry.{name}-amd64", self.world.now)

    @invariant()
    def nothing_older_is_published_over_something_newer(self):
        for name in NAMES:
            for kind, (number, _) in self.world.published(name).items():
                assert number >= self.newest.get((name, kind), 0)
                self.newest[name, kind] = number

    @invariant()
    def an_image_is_built_once_at_a_time(self):
        names = [claim.wanted.name for claim in self.world.claims.open() if not self.world.claims.result(claim.number)]
        assert len(names) == len({*names})

    @invariant()
    def each_build_has_a_builder_of_its_own_and_is_begun_once(self):
        started = self.world.builders.started
        assert len(started) == len({*started})

    @invariant()
    def a_name_is_never_without_its_image(self):
        for (name, kind), number in self.newest.items():
            assert number and self.world.published(name).get(kind)

    def teardown(self):
        """All heals, and people want all of it: a few passes later each name points to what is wanted, and nothing is left."""
        world = self.world
        world.fault, world.unknown, world.builders.silent = None, set(), set()
        world.reconcile()  # who has been asked to cancel a build has done it: what is asked from here on is asked later
        for name in NAMES:
            world.claims.ask(f"retry.{name}-amd64", world.now + 1)
        world.now += 2
        for _ in range(4):
            world.now += LEASE + 5000
            world.reconcile()
            for number in self.jobs("running", "stopped"):
                world.builders.finish(number)
        world.now += LEASE + 1
        world.reconcile()
        assert world.problems_of_end() == []
        numbers = [result.number for result in world.claims.results()]
        assert len(numbers) == len({*numbers})


TestFleet = Fleet.TestCase
TestFleet.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
